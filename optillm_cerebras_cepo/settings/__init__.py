"""Settings of a request: their declaration, and loading from all sources."""
