"""Calls and tokens of one request, as the API counts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

from bench.api import Api, simulated
from bench.loops import Loop, easy, optillm_loop, our_loop, split
from bench.page import Claim, Section, table
from bench.pictures import BLUE, GREY, OPTILLM, canvas, save
from optillm_cerebras_cepo.runtime import Runtime

OPTILLM_DEFAULT, MEDIUM, AUTO = "OptiLLM's default", "ours, `medium`", "ours, `auto`, plans agree"
REQUESTS_TO_LEARN = 8  # enough to learn the reply lengths of all steps with any effort

TEXT = """\
One request at a time, all replies have 400 tokens, all token limits are 4096 (direct answers: 2000). OptiLLM's default
runs without reasoning here and everywhere on this page, because the API refuses its calls with reasoning. *Charged* are
the tokens that count against the rate limits: prompts and token limits, whatever the length of the replies. *Charged
later* is the same after the reply lengths were learned; the last calls of the first request of `high` may use learned
lengths already, and their number varies between runs. *Reported* are the completion tokens that the loop reports.

{rows}

OptiLLM starts six attempts at a plan for each candidate and uses three of them, which costs 18 calls, and requests
each rating twice, which costs 3. *Plans never agree* is the maximum cost of `auto`; for mixed questions it is lower."""

CAPTION = """\
The picture shows one request of OptiLLM and of each effort. Grey bars are the tokens that the API charges for a first
request. Coloured bars are those of later requests, when the lengths of replies are known."""


@dataclass(frozen=True)
class Cost:
    """Calls and tokens of one request."""

    calls: int
    completion: int
    charged: int
    later: int
    reported: int


def run(pictures: Path, quick: bool) -> Section:
    """Measure one request of each kind."""
    learning = 0 if quick else REQUESTS_TO_LEARN
    with simulated() as api:
        costs = {OPTILLM_DEFAULT: _count(api, optillm_loop(api.url), easy, 0)}
        for effort in ("none", "low", "medium", "high"):
            costs[f"ours, `{effort}`"] = _count(api, _ours(api, effort), easy, learning)
        costs[AUTO] = _count(api, _ours(api, "auto"), easy, learning)
        costs["ours, `auto`, plans never agree"] = _count(api, _ours(api, "auto"), split, learning)
    head = ["", "calls", "completion tokens", "charged", "charged later", "reported"]
    rows = [[name, *(f"{number:,}" for number in astuple(row))] for name, row in costs.items()]
    text = TEXT.format(rows=table(head, rows))
    medium, auto, optillm = (costs[name].calls for name in (MEDIUM, AUTO, OPTILLM_DEFAULT))
    complete = all(row.reported == row.completion for name, row in costs.items() if name != OPTILLM_DEFAULT)
    claims = [
        Claim("calls of `medium` when candidates agree", "24", f"{medium} (OptiLLM: {optillm})", medium == 24, True),
        Claim("calls of effort `auto` when its plans agree", "5", str(auto), auto == 5),
        Claim("share of the completion tokens that is reported", "all", "all" if complete else "not all", complete),
    ]
    return Section("Cost of a request", text, claims, f"{_draw(costs, pictures)}\n\n{CAPTION}")


def _ours(api: Api, effort: str) -> Loop:
    return our_loop(api.url, runtime=Runtime(), effort=effort)  # a new runtime has learned no lengths


def _count(api: Api, loop: Loop, question: Callable[[object], str], learning: int) -> Cost:
    api.clear()
    result = loop(question("first"))
    calls = api.calls()
    later = calls
    for number in range(learning):
        api.clear()
        loop(question(number))
        later = api.calls()
    return Cost(
        len(calls),
        sum(call.completion_tokens for call in calls),
        sum(call.admission_tokens for call in calls),
        sum(call.admission_tokens for call in later),
        result.tokens,
    )


def _draw(costs: Mapping[str, Cost], pictures: Path) -> str:
    figure, (left, right) = canvas(8, 2.8, ncols=2, sharey=True)
    upwards = [*reversed([*costs.items()])]
    names = [name.replace("`", "") for name, _ in upwards]
    rows = [row for _, row in upwards]
    colours = [OPTILLM if name == OPTILLM_DEFAULT else BLUE for name, _ in upwards]
    left.bar_label(left.barh(names, [row.calls for row in rows], color=colours), padding=2)
    right.barh(names, [row.charged / 1000 for row in rows], color=GREY, alpha=0.35)
    right.barh(names, [row.later / 1000 for row in rows], color=colours)
    left.set_xlabel("calls of a request")
    right.set_xlabel("charged tokens (thousands)\ngrey: first request; coloured: later ones")
    for axes in (left, right):
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.12)
    return save(figure, pictures, "cost", "calls and charged tokens of one request, OptiLLM's default and our efforts")
