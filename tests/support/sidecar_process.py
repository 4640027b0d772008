"""A real `cepo-cerebras serve` process."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.optillm_process import Server, optillm

COMMAND = Path(sys.executable).with_name("cepo-cerebras")


@contextmanager
def sidecar(*arguments: str, environ: Mapping[str, str], folder: str | None = None) -> Iterator[Server]:
    """Run `cepo-cerebras serve ARGUMENTS --port …` in an empty folder and wait until it is healthy."""
    with optillm("serve", *arguments, environ=environ, command=COMMAND, folder=folder) as server:
        yield server
