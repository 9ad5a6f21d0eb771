"""How fast things are against what was promised; `tools/speed.py` runs it all and keeps the record."""
