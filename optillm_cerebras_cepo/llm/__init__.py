"""The model client: client layers, and `stack.py`, which puts them together."""
