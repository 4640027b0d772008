"""The environment of a child process that needs no secret: an allow-list, so that new secrets stay out. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

# What the system, the loader of libraries and Python itself read. No credentials are kept under any of these names.
ALLOWED = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|LC_[A-Z_]+|TZ|TMPDIR|TEMP|TMP"
    r"|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|DYLD_FALLBACK_LIBRARY_PATH|SYSTEMROOT|WINDIR"
    r"|PYTHONHOME|PYTHONPLATLIBDIR|PYTHONDONTWRITEBYTECODE|PYTHONPYCACHEPREFIX"
)


def child_environment(environ: Mapping[str, str], path: Iterable[str]) -> dict[str, str]:
    """Return the variables for a Python process with the same modules as this one.

    Args:
        environ: this process's.
        path: its `sys.path`.

    """
    needed = {name: value for name, value in environ.items() if ALLOWED.fullmatch(name.upper())}
    return needed | {"PYTHONPATH": os.pathsep.join(part for part in path if part), "PYTHONUTF8": "1"}
