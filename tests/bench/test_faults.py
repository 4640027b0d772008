"""The measurement among faults runs. Seconds are not judged here."""

from __future__ import annotations

import pytest

from bench.faults import LOOPS, ROWS, measure
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
