"""What the checks share, and the figures that they print at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import KEY, Note

FIGURES: list[str] = []


@pytest.fixture(scope="session")
def note() -> Note:
    """Print this line at the end."""
    return FIGURES.append


@pytest.fixture(scope="session")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The key in a file: one that the container's user can read, in a folder that only its owner can enter."""
    file = tmp_path_factory.mktemp("secret") / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o444)
    return file


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures."""
    for figure in FIGURES:
        terminalreporter.write_line(f"       {figure}")
