"""docs/security.md names each of these tests, and none that is not there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "security.md").read_text()


def test_every_line_has_its_test_and_every_test_its_line() -> None:
    """By file and name, once."""
    tests = [
        f"{path.name}::{node.name}"
        for path in HERE.glob("test_*.py")
        if path != Path(__file__)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    named = re.findall(r"^\| .* \| `(test_\w+\.py::test_\w+)` \|$", PAGE, re.MULTILINE)
    assert sorted(named) == sorted(tests)
