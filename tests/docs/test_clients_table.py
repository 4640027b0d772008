"""The table of frameworks in docs/api.md: a row for each program, with what tests/clients/test_frameworks.py checks."""

from __future__ import annotations

import re
from pathlib import Path

from support.frameworks import FRAMEWORKS, Framework

PAGE = Path(__file__).parents[2] / "docs/api.md"
ROW = re.compile(r"^\| (?P<cells>.+) \| `(?P<program>\w+)` \|$", re.MULTILINE)
STRUCTURED = {
    "response_format": "`response_format`: planned",
    "function": "one function: planned",
    "prompt": "prompt: planned",
    "": "none",
}


def test_every_row_says_what_the_tests_check() -> None:
    """The first words on structured output, whether there are tools, and whether a stream shows the progress."""
    rows = {row["program"]: row["cells"].split(" | ") for row in ROW.finditer(PAGE.read_text())}
    assert {program: told(*cells) for program, cells in rows.items()} == {
        Path(client.program).stem: checked(client) for client in FRAMEWORKS
    }


def told(
    _name: str, _address: str, structured: str, tools: str, stream: str, _more: str
) -> tuple[str, bool, bool, bool]:
    """Return what a row says."""
    return structured.partition(";")[0], not tools.startswith("none"), stream != "none", "progress" in stream


def checked(client: Framework) -> tuple[str, bool, bool, bool]:
    """Return what is checked of a client. Two have streams that a test of their own checks."""
    own = Path(client.program).stem in ("aider_cli", "instructor_client")
    return STRUCTURED[client.structured], client.calls_with_tool > 0, client.streams or own, client.progress
