"""docs/alerts.yaml: Prometheus accepts the rules, each fires when it should, and they name what a sidecar exposes."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import yaml
from support.counted_metrics import counted_metrics, labels_by_metric
from support.error_kinds import error_kinds
from support.prometheus import promtool
from support.promql import kept_labels, matched_values, unknown_names

from optillm_cerebras_cepo.sidecar.app import METHODS

ALERTS = Path(__file__).parents[2] / "docs" / "alerts.yaml"
UNIT_TESTS = Path(__file__).with_name("alerts_test.yaml")
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
]
LABELS = labels_by_metric(counted_metrics().render().decode())


def test_prometheus_accepts_the_rules() -> None:
    """Syntax, templates and duplicates."""
    promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS)


def test_prometheus_accepts_the_configuration_of_the_page(tmp_path: Path) -> None:
    """With the alerts and a client key beside it; its job has the name that the alerts expect."""
    page = ALERTS.with_name("sidecar.md").read_text()
    (block,) = re.findall(r"^ *```yaml\n(.*?)^ *```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(textwrap.dedent(block))
    (tmp_path / "client-key").write_text("a key")
    shutil.copy(ALERTS, tmp_path)
    promtool("check", "config", tmp_path / "prometheus.yml")
    (job,) = yaml.safe_load(block)["scrape_configs"]
    assert [rule["expr"] for rule in RULES if matched_values(rule["expr"], "job") - {job["job_name"]}] == []


def test_alerts_fire_when_they_should() -> None:
    """Each fires in one of promtool's unit tests, all of which say which alerts fire and which do not."""
    promtool("test", "rules", UNIT_TESTS)
    fired = set(re.findall(r'alertname="(\w+)"', UNIT_TESTS.read_text()))
    assert fired == {rule["alert"] for rule in RULES}


def test_alerts_name_metrics_and_labels_that_exist() -> None:
    """In the rules, and in the input of their unit tests; so do the texts that a person reads."""
    tests = yaml.safe_load(UNIT_TESTS.read_text())["tests"]
    series = [one["series"] for test in tests for one in test["input_series"]]
    codes = {kind.code or kind.type for kind in error_kinds()}
    for text in (*(rule["expr"] for rule in RULES), *series):
        assert unknown_names(text, LABELS) == [], text
        assert matched_values(text, "path") <= METHODS.keys()
        assert matched_values(text, "code") | matched_values(text, "reason") <= codes
    for rule in RULES:
        used = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert used <= kept_labels(rule["expr"]), rule["alert"]


def test_every_alert_says_what_to_do() -> None:
    """It has a time to wait, a severity, a summary, and a description of at least two sentences."""
    for rule in RULES:
        assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["annotations"]["description"].count(". ") >= 1, rule["alert"]
