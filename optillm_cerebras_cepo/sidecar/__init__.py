"""The sidecar: OptiLLM with our approach behind a production server, small, quick, and closed by default."""
