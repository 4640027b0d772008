"""Integration with OptiLLM's server: its calling convention, configuration, requests, replies and errors."""

SLUG = "cepo_cerebras"


def single_version(path: str) -> str:
    """Return a request's path with /v1 once: clients that add it themselves are given base URLs that end with it."""
    return path.removeprefix("/v1") if path.startswith("/v1/v1/") else path
