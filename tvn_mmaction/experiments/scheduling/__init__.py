"""Running many trainings as processes, on this machine or a Ray cluster."""
