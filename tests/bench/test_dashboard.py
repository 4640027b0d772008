"""The picture of the dashboard can be drawn. `tests/docs/test_dashboard_data.py` checks that each panel has data."""

from __future__ import annotations

from pathlib import Path

from support.dashboard import panels

from bench.operation import QUICK
from bench.panels import draw
from bench.recording import record


def test_a_quick_run(tmp_path: Path) -> None:
    """It has the title of each panel, and the state of both sidecars."""
    recording = record(QUICK)
    draw(recording, tmp_path / "dashboard.svg")
    picture = (tmp_path / "dashboard.svg").read_text()
    assert [panel.title for panel in panels() if f">{panel.title}</text>" not in picture] == []
    (ready,) = [panel for panel in panels() if panel.title == "Ready"]
    assert [name for name, _ in recording.series[ready.id]] == ["sidecar-1", "sidecar-2"]
