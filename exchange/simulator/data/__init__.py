"""Real daily prices and listings, converted once by `convert.py`."""
