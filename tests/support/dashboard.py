"""The panels of docs/grafana.json and their queries."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana.json"


@dataclass(frozen=True)
class Query:
    """A query in PromQL with Grafana's variables, and the name of each series that it returns, `{{label}}` inside."""

    text: str
    legend: str

    def with_values(self, rate_interval: str, whole_range: str) -> str:
        """Return the query as Grafana sends it if all jobs and instances are selected. Both arguments as `5m`."""
        values = {"$__rate_interval": rate_interval, "$__range": whole_range, "$job": ".+", "$instance": ".+"}
        text = self.text
        for name, value in values.items():
            text = text.replace(name, value)
        return text

    def name(self, labels: dict[str, str]) -> str:
        """Return the name of a series with these labels."""
        text = self.legend
        for label, value in labels.items():
            text = text.replace("{{" + label + "}}", value)
        return text


@dataclass(frozen=True)
class Panel:
    """A panel, or the title of a row (type `row`). Position and size are in Grafana's grid of 24 columns."""

    id: int
    type: str
    title: str
    description: str
    x: int
    y: int
    width: int
    height: int
    queries: Sequence[Query]
    source: dict[str, Any] = field(repr=False)  # as in the file

    @property
    def unit(self) -> str:
        """Grafana's id of the unit; empty for the title of a row."""
        return str(self.source.get("fieldConfig", {}).get("defaults", {}).get("unit", ""))


def dashboard() -> dict[str, Any]:
    """Return the file."""
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return loaded


def panels() -> list[Panel]:
    """Return the panels and titles of rows, in the order of the file."""
    return [
        Panel(
            id=one["id"],
            type=one["type"],
            title=one["title"],
            description=one.get("description", ""),
            x=one["gridPos"]["x"],
            y=one["gridPos"]["y"],
            width=one["gridPos"]["w"],
            height=one["gridPos"]["h"],
            queries=[Query(target["expr"], target["legendFormat"]) for target in one.get("targets", [])],
            source=one,
        )
        for one in dashboard()["panels"]
    ]
