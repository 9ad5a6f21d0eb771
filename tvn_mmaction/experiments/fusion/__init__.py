"""Late fusion of tested networks."""
