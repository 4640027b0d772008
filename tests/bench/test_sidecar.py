"""The measurement of servers runs, and no request is lost. Times are not checked."""

from __future__ import annotations

from bench.servers import DIRECT, PLANNED, QUICK, SIDECAR, measure
from bench.sidecar import claims, report


def test_a_quick_run() -> None:
    """Every server answers every kind of request, and the sidecar refuses excess requests with a retry-after."""
    measured = measure(QUICK)
    assert measured.calls == 24
    for cells, names in ((measured.direct, DIRECT), (measured.planned, PLANNED)):
        assert set(cells) == set(names)
        for of in cells.values():
            assert [(count, cell.lost, len(cell.seconds)) for count, cell in of.items()] == [
                (count, 0, cell.requests) for count, cell in of.items()
            ]
    assert measured.overload.requests == QUICK.overload
    assert measured.overload.statuses["200"] >= sum(QUICK.capacity)
    assert measured.overload.statuses["200"] + measured.overload.statuses["503"] == QUICK.overload
    assert measured.overload.lost == 0
    assert 0 < measured.idle[SIDECAR][0].own < measured.after[SIDECAR].all
    page = report(measured, 60, QUICK)
    assert all(f"| {claim.what} | {claim.limit} | {claim.measured} |" in page for claim in claims(measured))
