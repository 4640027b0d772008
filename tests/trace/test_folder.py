"""The folder of traces: bounded, and read without harm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optillm_cerebras_cepo.trace import folder as folder_module
from optillm_cerebras_cepo.trace.folder import TraceFolder


def trace(number: int, **more: Any) -> dict[str, Any]:
    """Return a trace that began at this second."""
    started = f"2026-11-28T10:{number // 60:02}:{number % 60:02}.000Z"
    return {"version": 1, "id": f"{number:012x}", "started": started, "request_id": f"r{number}", "calls": [], **more}


def test_only_the_latest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other files in the folder are not touched."""
    monkeypatch.setattr(folder_module, "MOST_FILES", 5)
    (tmp_path / "notes.json").write_text("{}")
    folder = TraceFolder(str(tmp_path))
    for number in range(9):
        folder.write(trace(number))
    assert [one["id"] for one in folder.latest()] == [f"{number:012x}" for number in range(8, 3, -1)]
    assert (tmp_path / "notes.json").exists()
    assert len(list(tmp_path.iterdir())) == 6


def test_a_trace_that_is_too_large_loses_its_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of it stays."""
    monkeypatch.setattr(folder_module, "MOST_BYTES", 500)
    folder = TraceFolder(str(tmp_path))
    folder.write(trace(1, calls=[{"step": "plan", "text": "x" * 1000, "messages": [], "reasoning": ""}]))
    (found,) = folder.latest()
    assert found["calls"] == [{"step": "plan"}]


def test_a_trace_is_found_by_its_id_or_its_requests(tmp_path: Path) -> None:
    """The beginning of an id is enough; several may begin alike."""
    folder = TraceFolder(str(tmp_path))
    for number in (1, 2):
        folder.write(trace(number))
    folder.write(trace(3, id="1" * 12))
    assert [one["request_id"] for one in folder.find("11")] == ["r3"]
    assert len(folder.find("0000")) == 2
    assert [one["id"] for one in folder.find("r2")] == [f"{2:012x}"]
    assert [one["id"] for one in folder.find("last")] == ["1" * 12]
    assert folder.find("r9") == []


def test_files_that_are_no_traces_are_left_out(tmp_path: Path) -> None:
    """As one that was cut, or that a later version wrote."""
    folder = TraceFolder(str(tmp_path))
    folder.write(trace(1))
    folder.write(trace(2, version=2))
    (tmp_path / "20261128T100000000Z-000000000003.json").write_text('{"version": 1')
    assert [one["id"] for one in folder.latest()] == [f"{1:012x}"]
