"""From a config file and a command line to the config of a run."""
