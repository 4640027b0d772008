"""docs/grafana.json: Grafana can read it, and its queries name what a sidecar exposes.

`tests/bench/test_dashboard.py` draws it from a real Prometheus.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support import web
from support.counted_metrics import counted_metrics, labels_by_metric
from support.dashboard import DASHBOARD, Panel, Query, dashboard, panels
from support.error_kinds import error_kinds
from support.prometheus import promtool
from support.promql import kept_labels, matched_values, metric_names, unknown_names
from support.sidecar_process import sidecar

from optillm_cerebras_cepo.sidecar.app import METHODS
from optillm_cerebras_cepo.simulator.server import Simulator

ROWS = [panel for panel in panels() if panel.type == "row"]
PANELS = [panel for panel in panels() if panel.type != "row"]
QUERIES = [query for panel in PANELS for query in panel.queries]
VARIABLES = dashboard()["templating"]["list"]
pytestmark = pytest.mark.filterwarnings("ignore:Prefer using dashboardv2")  # see support/grafana_schema.py

schema = pytest.mark.skipif(sys.version_info < (3, 11), reason="grafana-foundation-sdk needs Python 3.11")


def in_promql(query: Query) -> str:
    """Return the query with values for Grafana's variables."""
    return query.with_values("5m", "1h")


@schema
def test_grafana_knows_every_field() -> None:
    """With its type, as the classes state that are generated from Grafana's schema."""
    from support.grafana_schema import violations

    assert violations(DASHBOARD.read_text()) == []


def _rename(name: str, wrong: str) -> Callable[[dict[str, Any]], None]:
    return lambda fields: fields.update({wrong: fields.pop(name)})


@schema
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda panel: panel.update(type="chart"), "no panel type: chart"),
        (lambda panel: panel["gridPos"].update(x="4"), "grid_pos.x: '4' is not <class 'int'>"),
        (lambda panel: panel["options"]["tooltip"].update(mode="many"), "'many' is not <enum 'TooltipDisplayMode'>"),
        (lambda panel: panel["fieldConfig"]["defaults"].update(unit="dollars"), "no unit: dollars"),
        (lambda panel: panel["targets"][0].update(instant="yes"), "instant: 'yes' is not <class 'bool'>"),
        (lambda panel: _rename("expr", "expression")(panel["targets"][0]), "expression: unknown to Grafana"),
        (lambda panel: _rename("title", "name")(panel), "name: unknown to Grafana"),
    ],
)
def test_the_check_of_fields_finds_mistakes(spoil: Callable[[dict[str, Any]], None], expected: str) -> None:
    """A field of another name, type or value is reported."""
    from support.grafana_schema import violations

    spoiled = dashboard()
    spoil(next(panel for panel in spoiled["panels"] if panel["type"] == "timeseries"))
    assert [line for line in violations(json.dumps(spoiled)) if expected in line]


def test_every_panel_explains_itself() -> None:
    """It has a title of its own, a description and a unit."""
    assert [panel.title for panel in PANELS if not (panel.description.endswith(".") and panel.unit)] == []
    assert len({panel.title for panel in panels()}) == len(panels())


def test_the_grid() -> None:
    """Panels have ids of their own and do not overlap; each row of the operator's questions has panels below it."""
    assert len({panel.id for panel in panels()}) == len(panels())
    assert [panel.title for panel in panels() if panel.x + panel.width > 24] == []
    assert [(one.title, other.title) for one, other in itertools.combinations(panels(), 2) if overlap(one, other)] == []
    tops = [row.y for row in ROWS]
    assert tops == sorted(tops)
    assert [
        row.title
        for row, end in zip(ROWS, [*tops[1:], 10**6], strict=True)
        if not any(row.y < panel.y < end for panel in PANELS)
    ] == []


def overlap(one: Panel, other: Panel) -> bool:
    """Return whether two panels share a cell of the grid."""
    return (
        one.x < other.x + other.width
        and other.x < one.x + one.width
        and one.y < other.y + other.height
        and other.y < one.y + one.height
    )


@pytest.mark.parametrize("query", QUERIES, ids=in_promql)
def test_queries_name_metrics_and_labels_that_exist(query: Query) -> None:
    """In selectors, in `by`, and in the names of series; a path or a code in a selector is one of the sidecar's."""
    text = in_promql(query)
    assert unknown_names(text, labels_by_metric(counted_metrics().render().decode())) == []
    assert set(re.findall(r"{{(\w+)}}", query.legend)) <= kept_labels(text)
    assert matched_values(text, "path") <= METHODS.keys()
    assert matched_values(text, "code") | matched_values(text, "reason") <= {kind.code for kind in error_kinds()}


def test_a_wrong_name_is_found() -> None:
    """Of a metric, or of a label in a selector or in `by`."""
    labels = {"calls_total": {"step"}}
    assert unknown_names('sum by (step) (rate(calls_total{job="a"}[5m]))', labels) == []
    assert unknown_names('sum by (steps) (rate(calls_total{status="200"}[5m]))', labels) == [
        "by (steps)",
        "calls_total{status}",
    ]
    assert unknown_names("call_total", labels) == ["call_total"]
    with pytest.raises(ValueError, match="parenthesis"):
        unknown_names("rate(calls_total[5m]", labels)


def test_a_sidecar_process_exposes_every_metric(simulate: Callable[..., Simulator]) -> None:
    """Before its first request already, so that the names on the page are complete."""
    with sidecar(environ={"CEREBRAS_API_KEY": "csk-0123456789abcdef", "CEREBRAS_BASE_URL": simulate().url}) as server:
        exposed = labels_by_metric(web.get(f"{server.url}/metrics").text)
    assert set.union(*(metric_names(in_promql(query)) for query in QUERIES)) - exposed.keys() == set()


def test_prometheus_accepts_every_query(tmp_path: Any) -> None:
    """Its own parser also checks types, such as a rate of a range. Each query is written as a recording rule."""
    rules = [{"record": f"panel:{number}", "expr": in_promql(query)} for number, query in enumerate(QUERIES)]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "--lint=none", tmp_path / "rules.yaml")


def test_variables() -> None:
    """Queries use declared variables only; each variable offers the values of a label that exists."""
    own = {variable["name"] for variable in VARIABLES} | {"__rate_interval", "__range"}
    used = set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text()))
    assert used - own - {"__all"} == set()
    assert [query.text for query in QUERIES if not ("$job" in query.text and "$instance" in query.text)] == []
    assert {panel.source["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    labels = labels_by_metric(counted_metrics().render().decode())
    for variable in VARIABLES[1:]:
        selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()
        assert variable["query"]["query"] == variable["definition"]
        assert label == variable["name"]
        assert unknown_names(f"count by ({label}) ({selector.replace('$job', '.+')})", labels) == []
