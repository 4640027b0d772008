"""Environment variables: those of the connection to the API, and those that a child process receives."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping

API_KEY = "CEREBRAS_API_KEY"
BASE_URL = "CEREBRAS_BASE_URL"
TRACE_DIR = "CEPO_CEREBRAS_TRACE_DIR"  # a setting of requests, which the sidecar's flag and `trace` use too

# Each name that is read, with names that other libraries use for the same.
NAMES = {
    API_KEY: ("CEREBRAS_API_TOKEN", "CEREBRAS_KEY", "CEREBRAS_TOKEN"),
    f"{API_KEY}_FILE": (),
    BASE_URL: ("CEREBRAS_API_BASE", "CEREBRAS_API_URL", "CEREBRAS_ENDPOINT", "CEREBRAS_URL"),
}
SIMILARITY = 0.85  # of two names, as difflib measures it: CEREBRAS_MODEL is below it

# What the system, the loader of libraries and Python itself read. No credentials are kept under any of these names.
ALLOWED = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|LC_[A-Z_]+|TZ|TMPDIR|TEMP|TMP"
    r"|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|DYLD_FALLBACK_LIBRARY_PATH|SYSTEMROOT|WINDIR"
    r"|PYTHONHOME|PYTHONPLATLIBDIR|PYTHONDONTWRITEBYTECODE|PYTHONPYCACHEPREFIX"
)


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


def child_environment(environ: Mapping[str, str], path: Iterable[str]) -> dict[str, str]:
    """Return the variables for a Python process with the same modules as this one.

    Args:
        environ: this process's.
        path: its `sys.path`.

    """
    needed = {name: value for name, value in environ.items() if ALLOWED.fullmatch(name.upper())}
    return needed | {"PYTHONPATH": os.pathsep.join(part for part in path if part), "PYTHONUTF8": "1"}
