"""One model client, in layers: each file is one concern, `stack.py` puts them together."""
