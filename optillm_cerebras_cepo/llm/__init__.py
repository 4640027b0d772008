"""The model client: client layers, each in a file of its own, and `stack.py`, which puts them together."""
