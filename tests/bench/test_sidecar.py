"""The measurement of whole servers runs, and loses nothing. Seconds are not judged here."""

from __future__ import annotations

from bench.servers import DIRECT, PLANNED, QUICK, SIDECAR, measure
from bench.sidecar import claims, report


def test_a_quick_run() -> None:
    """Every server answers every kind of question, and what the sidecar has no room for is told when to come again."""
    seen = measure(QUICK)
    assert seen.calls == 27
    for cells, names in ((seen.direct, DIRECT), (seen.planned, PLANNED)):
        assert set(cells) == set(names)
        for of in cells.values():
            assert [(count, cell.lost, len(cell.seconds)) for count, cell in of.items()] == [
                (count, 0, cell.asked) for count, cell in of.items()
            ]
    assert seen.crowd.asked == QUICK.crowd
    assert seen.crowd.statuses["200"] >= sum(QUICK.room)
    assert seen.crowd.statuses["200"] + seen.crowd.statuses["503"] == QUICK.crowd
    assert seen.crowd.lost == 0
    assert 0 < seen.rests[SIDECAR][0].own < seen.after[SIDECAR].all
    page = report(seen, 60, QUICK)
    assert all(f"| {claim.what} | {claim.limit} | {claim.seen} |" in page for claim in claims(seen))
