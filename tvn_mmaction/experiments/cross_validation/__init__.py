"""Cross-validation: the folds and their record."""
