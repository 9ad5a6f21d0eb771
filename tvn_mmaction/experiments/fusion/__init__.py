"""Late fusion of several networks: methods and report."""
