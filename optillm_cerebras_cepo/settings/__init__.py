"""The settings of a request: their declaration, and how they are read."""
