"""Traces in memory: the latest ones, within limits of number and size."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from optillm_cerebras_cepo.trace import folder
from optillm_cerebras_cepo.trace.folder import TraceFolder
from optillm_cerebras_cepo.trace.store import MemoryTraces, TraceStore


def trace(number: int, **more: Any) -> dict[str, Any]:
    """Return a trace whose id is this number."""
    return {
        "version": 1,
        "id": f"{number:012x}",
        "request_id": f"request-{number}",
        "started": f"2026-01-01T00:00:{number:02}.000Z",
        "calls": [],
        **more,
    }


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TraceStore:
    """Each kind of store."""
    return MemoryTraces() if request.param == "memory" else TraceFolder(str(tmp_path))


def test_the_latest_comes_first(store: TraceStore) -> None:
    """And each is found by its id."""
    assert list(store.latest()) == []
    written = [trace(number) for number in range(3)]
    for one in written:
        store.write(one)
    assert list(store.latest()) == written[::-1]
    assert store.get(written[1]["id"]) == written[1]
    for other in ("0000", "request-2", "f" * 12, ""):
        assert store.get(other) is None


def test_the_number_is_limited() -> None:
    """The oldest are dropped."""
    store = MemoryTraces(most=3)
    for number in range(5):
        store.write(trace(number))
    assert [one["id"][-1] for one in store.latest()] == ["4", "3", "2"]


def test_the_size_is_limited() -> None:
    """Of all traces together."""
    store = MemoryTraces(most_bytes=1_000)
    for number in range(5):
        store.write(trace(number, padding="x" * 300))
    assert [one["id"][-1] for one in store.latest()] == ["4", "3"]
    store.write(trace(9, padding="x" * 2_000))
    assert list(store.latest()) == []


def test_a_large_trace_loses_its_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does in a folder."""
    monkeypatch.setattr(folder, "MOST_BYTES", 500)
    store = MemoryTraces()
    store.write(trace(1, calls=[{"number": 1, "text": "x" * 1_000}]))
    assert next(iter(store.latest()))["calls"] == [{"number": 1}]


def test_what_is_stored_does_not_change() -> None:
    """Neither with what was written nor with what was read."""
    store, written = MemoryTraces(), trace(1)
    store.write(written)
    written["calls"].append("changed")
    next(iter(store.latest()))["calls"].append("changed")
    assert next(iter(store.latest()))["calls"] == []


def test_many_threads() -> None:
    """None is lost, and the limits hold."""
    store = MemoryTraces(most=50)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: store.write(trace(number)), range(40)))
        found = list(threads.map(lambda number: store.get(f"{number:012x}"), range(40)))
    assert found == [trace(number) for number in range(40)]
    assert len(list(store.latest())) == 40
