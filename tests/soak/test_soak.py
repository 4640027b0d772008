"""A soak run of half a minute keeps all promises."""

from __future__ import annotations

import pytest

from soak.load import KINDS
from soak.run import soak
from soak.verdict import claims, lost, report


@pytest.mark.slow
@pytest.mark.alone
def test_a_quick_run_keeps_all_promises() -> None:
    """It has each kind of request. The process warms up for about 12 s, most of the first third."""
    done = soak(30.0)
    assert [received for received in done.received if lost(received)] == []
    assert {received.kind for received in done.received} == set(KINDS)
    assert "| memory, MiB |" in report(done)
    assert [claim for claim in claims(done) if not claim.holds] == []
