"""What docs/sidecar.md says of flags, limits, metrics and the log is what the code does."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import KEY
from prometheus_client.parser import text_string_to_metric_families

from optillm_cerebras_cepo.chat import Label, Question, Step, Usage
from optillm_cerebras_cepo.errors import NoAnswer
from optillm_cerebras_cepo.events import Called
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.settings import Settings
from optillm_cerebras_cepo.sidecar import files, readiness, server
from optillm_cerebras_cepo.sidecar.connection import Patience
from optillm_cerebras_cepo.sidecar.entrance import KNOWN, MODELS
from optillm_cerebras_cepo.sidecar.metrics import Metrics
from optillm_cerebras_cepo.sidecar.options import FLAGS, PREFIX, Options, spelled
from optillm_cerebras_cepo.sidecar.visit import Visit
from optillm_cerebras_cepo.simulator.server import Simulator

PAGE = (Path(__file__).parents[2] / "docs" / "sidecar.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def shown(value: object) -> str:
    """A default as the page has it."""
    return ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)


def test_the_options_are_all_there() -> None:
    """Flag, variable, default and meaning, in the order of their declaration."""
    defaults = Options()
    assert rows("Flags and variables") == [
        [f"`{spelled(name)}`", f"`{PREFIX}{name.upper()}`", shown(getattr(defaults, name)).lower(), flag.help]
        for name, flag in FLAGS.items()
    ]


def test_the_limits_are_the_servers() -> None:
    """Each number."""
    limits = {what: limit for what, limit, _ in rows("Limits")}
    assert f"{server.Limits.headers // 2**10} KiB" in limits["a request's headers"]
    assert f"{Patience.reading:g} s" in limits["a request's way in"]
    assert f"{Patience.idle:g} s" in limits["a connection on which nothing happens, or whose client does not read"]
    assert f"{server.Limits.connections}" in limits["connections"]
    assert f"less than {server.Limits.connections + files.OWN + files.API} files" in limits["connections"]
    shares = files.share_out(512, server.Limits.connections)
    flat = " ".join(PAGE.split())
    assert f"limit to {files.WANTED}," in flat
    assert f"{files.OWN} are its own and up to {files.API} are connections to the API" in flat
    assert f"(`ulimit -n 512`: {shares.clients}). With less than {files.OWN + 2 * files.LEAST} it" in flat
    assert f"{Options().max_body:g} MiB" in limits["a request's body"]
    assert f"{Options().max_requests} that are worked on" in limits["questions in hand"]
    assert f"{Options().max_queue} that wait" in limits["questions in hand"]
    assert f"every {readiness.WELL:g} s" in PAGE


def test_the_paths_are_all_there() -> None:
    """Those that the sidecar knows, with or without a model's name behind them."""
    assert {path for row in rows("What it answers") for path in re.findall(r"/[\w/]+", row[0])} == set(KNOWN)
    assert MODELS in KNOWN


def test_the_metrics_are_all_there() -> None:
    """Name, kind, labels and meaning, as /metrics prints them; those of the process are the library's."""
    metrics = Metrics(lambda: 0)
    metrics.heard(Called(Label(Step.PLAN, 1), 1.0, Usage(1, 1)))
    metrics.answered("/v1/chat/completions", "cepo_cerebras", "medium", 200, 1.0)
    printed = []
    for family in text_string_to_metric_families(metrics.page().decode()):
        if family.name.startswith("cepo_cerebras"):
            labels = {name for sample in family.samples for name in sample.labels} - {"le"}
            name = f"`{family.name}{'_total' if family.type == 'counter' else ''}`"
            printed.append((name, family.type, labels, family.documentation))
    told = [(name, kind, set(filter(None, labels.split(", "))), what) for name, kind, labels, what in rows("Metrics")]
    assert told == printed


def test_the_fields_of_the_log_are_all_there(simulate: Callable[..., Simulator]) -> None:
    """Of an answer, of an error, and of a client that did not wait."""
    told = {field for row in rows("The log") for field in re.findall(r"`(\w+)`", row[0])}
    answered, failed = Visit({"PATH_INFO": "/"}, Metrics(lambda: 0)), Visit({"PATH_INFO": "/"}, Metrics(lambda: 0))
    for visit in (answered, failed):
        visit.chose("none")
        visit.began("none")
    solved = RUNTIME.solve(Question("6 times 7?"), Settings(effort="none"), RUNTIME.client(simulate().url, KEY))
    answered.ended(solved)
    failed.ended(NoAnswer("no"))
    assert {*answered.line(), *failed.line()} == told


def test_the_readme_has_the_same_sizes() -> None:
    """Of the image, and of what pip installs."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (image,) = re.findall(r"^\| above its base \| .* \| (.* MB) \|$", PAGE, re.MULTILINE)
    (installed,) = re.findall(r"^\| `pip install optillm` \| \d+ \| ([\d,]+) \|$", PAGE, re.MULTILINE)
    assert f"an image\nof {image} above its base" in readme
    assert set(re.findall(r"[\d.]+ GB", readme)) == {f"{int(installed.replace(',', '')) / 1000:.1f} GB"}


@pytest.mark.parametrize(("command", "promises"), [("size", 1), ("load", 6)])
def test_every_promise_is_kept(command: str, promises: int) -> None:
    """The committed figures say yes to each."""
    measured = PAGE.partition(f"<!-- {command} -->")[2].partition(f"<!-- /{command} -->")[0]
    kept = re.findall(r"^\| .* \| (yes|\*\*no\*\*) \|$", measured, re.MULTILINE)
    assert len(kept) == promises
    assert set(kept) == {"yes"}
