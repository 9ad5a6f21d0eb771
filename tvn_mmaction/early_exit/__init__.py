"""Early exits: thresholds for budgets, calibration on the validation split, and its report."""
