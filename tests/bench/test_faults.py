"""The measurement among faults runs, and writes where it should. Seconds are not judged here."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults import BEGIN, END, LOOPS, ROWS, Outcome, measure, tabled, write
from bench.loops import hang_up


@pytest.mark.parametrize("name", LOOPS)
def test_a_small_run(name: str) -> None:
    """Two requests of each loop among all faults: none is answered wrongly, and both of ours are answered."""
    done = measure(ROWS["all of these, a quarter of each"], name, 2)
    hang_up()
    assert (done.asked, done.wrong) == (2, 0)
    assert done.calls >= 2
    if name != "OptiLLM":
        assert done.answered == 2
        assert done.whole <= 2


def test_the_table_has_a_line_for_each_loop() -> None:
    """Calls are those of one request."""
    lines = tabled(
        {"row": {"ours": Outcome(4, 3, 2, 1, 10, 1.6), "OptiLLM": Outcome(4, 3, 3, 0, 10, 1.6)}}
    ).splitlines()
    assert lines[2:] == [
        "| row | ours | 3 of 4 | 2 | 1 | 2.5 | 2 |",
        "| row | OptiLLM | 3 of 4 | not told | 0 | 2.5 | 2 |",
    ]


def test_a_page_is_written_between_its_marks(tmp_path: Path) -> None:
    """What stands around them stays; a page without them is not touched."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write("new", page)
    write("newer", page)
    assert page.read_text() == f"before\n{BEGIN}\n\nnewer\n\n{END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="needs"):
        write("new", page)
    assert page.read_text() == "no marks"
