"""Prometheus and its promtool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

MISSING = "these tests need promtool: `make prometheus` installs Debian's, or put another one on the PATH"


def program(name: str) -> str:
    """Return the path of `promtool` or `prometheus`."""
    path = shutil.which(name)
    assert path is not None, MISSING
    return path


def promtool(*arguments: str | Path) -> None:
    """Run promtool; fail with what it printed if it finds a mistake."""
    done = subprocess.run([program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
