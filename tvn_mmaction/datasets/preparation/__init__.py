"""Building of data roots: download, unpacking, scan, probing, frame stores."""
