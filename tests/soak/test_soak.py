"""The soak runs, and nothing is lost, leaked or left uncounted in twelve seconds either."""

from __future__ import annotations

import pytest

from soak.load import KINDS
from soak.run import soak
from soak.verdict import claims, lost, report


@pytest.mark.slow
@pytest.mark.alone
def test_a_quick_run_holds_all_promises() -> None:
    """Of each kind of request there is one; what the pools of a process take in so short a time is within the limit."""
    done = soak(12.0, legs=3)
    assert [told for told in done.told if lost(told)] == []
    assert {told.kind for told in done.told} == set(KINDS)
    assert "| memory, MiB |" in report(done)
    assert [claim for claim in claims(done) if not claim.holds] == []
