"""What a real Prometheus answers to the queries of docs/grafana.json while sidecars are under load."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.dashboard import Panel, panels
from support.prometheus import Prometheus, prometheus
from support.waiting import until

from bench.operation import CLIENT_KEY, Operation, Phase, operation
from bench.page import DOCS

SCRAPE = 1.0  # seconds between two scrapes
RATE_INTERVAL = 15  # seconds over which a rate is taken, in place of Grafana's $__rate_interval
STEP = 3.0  # seconds between two points of a curve

Points = list[tuple[float, float]]  # (seconds from the start of the load, value)


@dataclass(frozen=True)
class Recording:
    """The answers of Prometheus.

    Attributes:
        phases: of the load.
        seconds: duration of the load.
        series: by the panel's id: each series that has a value, with its name.

    """

    phases: Sequence[Phase]
    seconds: float
    series: Mapping[int, Sequence[tuple[str, Points]]]

    @property
    def without_data(self) -> list[str]:
        """Titles of the panels that show nothing."""
        return [panel.title for panel in panels() if panel.type != "row" and not self.series[panel.id]]


def record(phases: Sequence[Phase]) -> Recording:
    """Run the load, and ask Prometheus the queries of all panels."""
    with tempfile.TemporaryDirectory() as folder, operation() as running:
        key = Path(folder) / "key"
        key.write_text(CLIENT_KEY)
        with prometheus(_config(running, key)) as source:
            until(lambda: len(source.now("cepo_cerebras_ready == 1")) == len(running.servers))
            start = time.time()
            for phase in phases:
                running.run(phase)
            end = time.time()
            series = {panel.id: _series(source, panel, start, end) for panel in panels()}
    return Recording(phases, end - start, series)


def _config(running: Operation, key: Path) -> dict[str, Any]:
    """Return Prometheus's configuration. The sidecars get names, because their ports are any free ones."""
    targets = [
        {"targets": [server.url.removeprefix("http://")], "labels": {"instance": f"sidecar-{number}"}}
        for number, server in enumerate(running.servers, 1)
    ]
    job = {"job_name": "cepo-cerebras", "authorization": {"credentials_file": str(key)}, "static_configs": targets}
    return {
        "global": {"scrape_interval": f"{SCRAPE:g}s", "evaluation_interval": f"{SCRAPE:g}s"},
        "rule_files": [str(DOCS / "alerts.yaml")],
        "scrape_configs": [job],
    }


def _series(source: Prometheus, panel: Panel, start: float, end: float) -> list[tuple[str, Points]]:
    """Return the panel's series that have a value, by name."""
    found: list[tuple[str, Points]] = []
    for query in panel.queries:
        text = query.with_values(f"{RATE_INTERVAL}s", f"{round(end - start)}s")
        answer = source.now(text) if panel.type == "stat" else source.history(text, start, end, STEP)
        for one in answer:
            samples = [(at - start, value) for at, value in one.samples if value == value]  # without NaN: 0 / 0
            if samples:
                found.append((query.name(one.labels), samples))
    return sorted(found)
