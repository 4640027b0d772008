"""The benchmarks run, and meet their targets for numbers of calls. Times are not checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import SECTIONS
from bench.page import insert, write

COUNTED = {"cost", "fitting"}  # sections that check targets in a quick run: numbers of calls, and answers


@pytest.mark.slow
@pytest.mark.parametrize("name", SECTIONS)
def test_a_quick_run(name: str, tmp_path: Path) -> None:
    """Each section is written with its pictures, and meets its targets for counts."""
    section = SECTIONS[name](tmp_path / "benchmarks", True)
    write([section], 60, tmp_path / "benchmarks.md")
    page = (tmp_path / "benchmarks.md").read_text()
    assert f"## {section.title}" in page
    for picture in (tmp_path / "benchmarks").glob("*"):
        assert f"benchmarks/{picture.name}" in page
    if name in COUNTED:
        assert section.claims
        assert [claim for claim in section.claims if not claim.holds] == []


def test_text_is_inserted_between_marks(tmp_path: Path) -> None:
    """The rest of the page is unchanged; a page without marks is not changed."""
    page = tmp_path / "page.md"
    page.write_text("before\n<b>\nold\n</b>\nafter\n")
    insert("new", page, "<b>", "</b>")
    insert("newer", page, "<b>", "</b>")
    assert page.read_text() == "before\n<b>\n\nnewer\n\n</b>\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="needs"):
        insert("new", page, "<b>", "</b>")
    assert page.read_text() == "no marks"
