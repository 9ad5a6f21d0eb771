"""Frame selection: the order of a clip's frames by several methods, and what it is worth."""
