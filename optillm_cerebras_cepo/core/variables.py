"""Environment variables of the connection to the API, and how their names are often misspelt."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

API_KEY = "CEREBRAS_API_KEY"
BASE_URL = "CEREBRAS_BASE_URL"

# Each name that is read, with names that other libraries use for the same.
NAMES = {
    API_KEY: ("CEREBRAS_API_TOKEN", "CEREBRAS_KEY", "CEREBRAS_TOKEN"),
    f"{API_KEY}_FILE": (),
    BASE_URL: ("CEREBRAS_API_BASE", "CEREBRAS_API_URL", "CEREBRAS_ENDPOINT", "CEREBRAS_URL"),
}
SIMILARITY = 0.85  # of two names, as difflib measures it: CEREBRAS_MODEL is below it


def misspelt(name: str, environ: Mapping[str, str]) -> str | None:
    """Return a message if this variable is not set, but one with a similar name is; otherwise None."""
    if environ.get(name):
        return None
    spellings = {spelling: right for right, others in NAMES.items() for spelling in (right, *others)}
    for given in sorted(environ):
        if given in NAMES or given.startswith("CEPO_") or not environ[given]:  # CEPO_…: settings have their own check
            continue
        close = difflib.get_close_matches(given.upper(), spellings, n=1, cutoff=SIMILARITY)
        if close and spellings[close[0]] == name:
            return f"{name} is not set; {given} is: rename it."
    return None
