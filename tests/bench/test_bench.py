"""The benchmarks run, and what they promise about numbers of calls holds. Seconds are not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import SECTIONS
from bench.page import write

COUNTED = {"cost", "fitting"}  # sections that in a quick run still claim: numbers of calls, and answers


@pytest.mark.slow
@pytest.mark.parametrize("name", SECTIONS)
def test_a_quick_run(name: str, tmp_path: Path) -> None:
    """Of each section: it has a text, draws the pictures that the text shows, and its counts are as promised."""
    section = SECTIONS[name](tmp_path / "benchmarks", True)
    write([section], 60, tmp_path / "benchmarks.md")
    page = (tmp_path / "benchmarks.md").read_text()
    assert f"## {section.title}" in page
    for picture in (tmp_path / "benchmarks").glob("*"):
        assert f"benchmarks/{picture.name}" in page
    if name in COUNTED:
        assert section.claims
        assert [claim for claim in section.claims if not claim.holds] == []
