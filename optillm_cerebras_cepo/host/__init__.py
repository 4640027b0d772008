"""Integration with OptiLLM's server: its calling convention, configuration, requests, replies and errors."""

SLUG = "cepo_cerebras"
