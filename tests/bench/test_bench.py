"""The benchmarks run, and what they promise about numbers of calls holds. Seconds are not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import SECTIONS
from bench.page import insert, write

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


def test_a_page_is_written_between_its_marks(tmp_path: Path) -> None:
    """What stands around them stays; a page without them is not touched."""
    page = tmp_path / "page.md"
    page.write_text("before\n<b>\nold\n</b>\nafter\n")
    insert("new", page, "<b>", "</b>")
    insert("newer", page, "<b>", "</b>")
    assert page.read_text() == "before\n<b>\n\nnewer\n\n</b>\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="needs"):
        insert("new", page, "<b>", "</b>")
    assert page.read_text() == "no marks"
