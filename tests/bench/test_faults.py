"""The measurement among faults runs. Seconds are not judged here."""

from __future__ import annotations

import pytest

from bench.faults import LOOPS, ROWS, Outcome, measure, tabled
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
