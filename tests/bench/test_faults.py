"""The measurement with faults runs. Times are not checked."""

from __future__ import annotations

import pytest

from bench.faults import LOOPS, ROWS, measure
from bench.loops import close_connections


@pytest.mark.parametrize("name", LOOPS)
def test_a_small_run(name: str) -> None:
    """Two requests of each loop with all faults: no answer is wrong, and our loop answers both."""
    done = measure(ROWS["all of these, a quarter of each"], name, 2)
    close_connections()
    assert (done.requests, done.wrong) == (2, 0)
    assert done.calls >= 2
    if name != "OptiLLM":
        assert done.answered == 2
        assert done.complete <= 2
