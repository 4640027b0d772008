"""Everything that knows OptiLLM's server: its calling convention, its configuration, its replies and errors."""
