"""Building a data root: download, unpacking, scanning, probing, frame stores."""
