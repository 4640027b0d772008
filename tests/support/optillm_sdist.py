"""OptiLLM's source distribution: fetched when a test wants it, by the hash in our locks."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path

DOCKER = Path(__file__).parents[2] / "docker"


def unpacked(folder: Path) -> Path:
    """Fetch the one of the installed OptiLLM into a folder, and return its own."""
    (folder / "sdist.txt").write_text(_pin())
    # pip reads an sdist's metadata after the download, and builds nothing else of it.
    download = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    command = [*download, "--no-binary", "optillm", "--require-hashes", "-r", "sdist.txt"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = folder.glob("optillm-*.tar.gz")
    with tarfile.open(archive) as sdist:
        sdist.extractall(folder, filter="data")
    (found,) = folder.glob("optillm-*/tests")
    return found.parent


def _pin() -> str:
    """Return the line of our locks for the OptiLLM that is installed: its sdist has one of these hashes."""
    version = metadata.version("optillm")
    entry = rf"^optillm=={re.escape(version)} (?:\\\n\s+--hash=\S+ ?)+"
    found = [match[0] for lock in DOCKER.glob("*.lock") for match in re.finditer(entry, lock.read_text(), re.MULTILINE)]
    assert found, f"no lock has OptiLLM {version}"
    return found[0]
