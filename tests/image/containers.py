"""The engine, as image-check.sh has started it, and docker/compose.yaml on it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BASE = "python:3.12-slim"
IMAGE = "cepo-cerebras"
KEY = "csk-that-nothing-may-show"
Note = Callable[[str], None]  # prints a line at the end of the checks
FILES = ("docker/compose.yaml", "tests/image/simulated.yaml")


def docker(*arguments: str, given: str | None = None) -> str:
    """What `docker ARGUMENTS` prints, given this to read. Raises AssertionError with its errors if it fails."""
    return _run(["/usr/bin/docker", *arguments], given=given)


def inspected(name: str) -> dict[str, Any]:
    """What the engine knows of a container or an image."""
    found: dict[str, Any]
    (found,) = json.loads(docker("inspect", name))
    return found


def logged(container: str) -> list[dict[str, Any]]:
    """The lines of a sidecar's log."""
    command = ["/usr/bin/docker", "logs", container]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def until(there: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What is there, once it is."""
    end = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < end, "it never was"
        time.sleep(0.05)
    return found


class Stack:
    """The compose file's services, with a key in a file, and the simulated API beside them."""

    def __init__(self, secret: Path, **settings: str) -> None:
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("CEREBRAS_")}
        self._environ |= {"CEREBRAS_API_KEY_FILE": str(secret), "CEREBRAS_BASE_URL": "http://api:18081", **settings}

    def compose(self, *arguments: str) -> str:
        """What `docker compose ARGUMENTS` prints. Raises AssertionError with its errors if it fails."""
        files = [part for file in FILES for part in ("-f", str(ROOT / file))]
        profiles = ["--profile", "scale", "--profile", "backend"]
        return _run([os.environ["COMPOSE"], *files, *profiles, *arguments], self._environ)

    @contextmanager
    def up(self, *services: str) -> Iterator[None]:
        """Have these services, and what they depend on, of images that are built."""
        try:
            self.compose("up", "--detach", "api", *services)
            yield
        finally:
            self.compose("down", "--timeout", "1")


def healthy(container: str) -> bool:
    """Whether the image's HEALTHCHECK says so."""
    return str(inspected(container)["State"]["Health"]["Status"]) == "healthy"


def _run(command: Sequence[str], environ: dict[str, str] | None = None, given: str | None = None) -> str:
    done = subprocess.run(command, env=environ, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-4000:]}"
    return done.stdout
