"""Environments for other people's client libraries, made from their locks and kept for the next run."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".venv-clients"


def python_environment(lock: Path) -> Path:
    """Return the interpreter of an environment with what the lock pins."""

    def make(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", folder])
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        _run([*pip, "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(lock)])

    version = "{}.{}".format(*sys.version_info)
    return kept(f"{lock.stem}-python{version}", [lock], make) / "bin/python"


def node_environment(project: Path) -> Path:
    """Return a folder with what the project's package-lock.json pins, in node_modules.

    A missing Node.js fails the test: a skip would hide that the JavaScript clients were not tried.
    """
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.fail(f"{command} is not on the PATH; the JavaScript clients need Node.js 20 or later with npm")
    files = [project / name for name in ("package.json", "package-lock.json", ".npmrc")]

    def make(folder: Path) -> None:
        folder.mkdir()
        for file in files:
            shutil.copy(file, folder)
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)

    return kept("node", files, make)


def kept(name: str, of: Sequence[Path], make: Callable[[Path], None]) -> Path:
    """Return the folder that was made of these files, or make it now, in place of an older one."""
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in of)).hexdigest()[:16]
    folder = CACHE / f"{name}-{digest}"
    with _alone(name):
        done = folder / ".done"
        if not done.exists():
            for old in CACHE.glob(f"{name}-*"):
                shutil.rmtree(old)
            make(folder)
            done.touch()
    return folder


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One process at a time makes this environment; another one waits and finds it."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: Sequence[str | Path], folder: Path | None = None) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
