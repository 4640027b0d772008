"""The soak runs, and nothing is lost, leaked or left uncounted in half a minute either."""

from __future__ import annotations

import pytest

from soak.load import KINDS
from soak.run import soak
from soak.verdict import claims, lost, report


@pytest.mark.slow
@pytest.mark.alone
def test_a_quick_run_holds_all_promises() -> None:
    """Of each kind of request there is one. The process warms up for some twelve seconds, most of the first third."""
    done = soak(30.0)
    assert [told for told in done.told if lost(told)] == []
    assert {told.kind for told in done.told} == set(KINDS)
    assert "| memory, MiB |" in report(done)
    assert [claim for claim in claims(done) if not claim.holds] == []
