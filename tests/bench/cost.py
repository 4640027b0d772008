"""What one request costs: calls and tokens, as the API counts them."""

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
REQUESTS_TO_LEARN = 8  # after them the lengths of every step's replies are known, whatever the effort

TEXT = """\
One request at a time, every reply 400 tokens long, every token limit 4096 (a direct answer: 2000). OptiLLM's
default has its reasoning switched off here, as everywhere on this page: with it, the API refuses the calls.
*Charged* is what admission costs: prompts and token limits, whatever the replies then take. *Charged later* is the
same once the lengths of replies are known; in the first request of `high` the last calls may know them already, from
run to run another number of them. *Reported* is what the loop says of completion tokens to its client.

{rows}

{picture}

OptiLLM starts six attempts at a plan for each candidate and uses three of them, which is 18 calls, and asks for
each rating twice, which is 3. *Plans never agree* is the most that `auto` can cost; on mixed questions it is in
between."""


@dataclass(frozen=True)
class Spent:
    """One request's calls and tokens."""

    calls: int
    completion: int
    charged: int
    later: int
    reported: int


def run(pictures: Path, quick: bool) -> Section:
    """Count one request of each kind."""
    learning = 0 if quick else REQUESTS_TO_LEARN
    with simulated() as api:
        spent = {OPTILLM_DEFAULT: _count(api, optillm_loop(api.url), easy, 0)}
        for effort in ("none", "low", "medium", "high"):
            spent[f"ours, `{effort}`"] = _count(api, _ours(api, effort), easy, learning)
        spent[AUTO] = _count(api, _ours(api, "auto"), easy, learning)
        spent["ours, `auto`, plans never agree"] = _count(api, _ours(api, "auto"), split, learning)
    head = ["", "calls", "completion tokens", "charged", "charged later", "reported"]
    rows = [[name, *(f"{number:,}" for number in astuple(row))] for name, row in spent.items()]
    text = TEXT.format(rows=table(head, rows), picture=_draw(spent, pictures))
    medium, auto, optillm = (spent[name].calls for name in (MEDIUM, AUTO, OPTILLM_DEFAULT))
    honest = all(row.reported == row.completion for name, row in spent.items() if name != OPTILLM_DEFAULT)
    claims = [
        Claim("calls of a request of effort `medium`", "27", f"{medium} (OptiLLM: {optillm})", medium == 27),
        Claim("calls of effort `auto` when its plans agree", "≤ 8", str(auto), auto <= 8),
        Claim("completion tokens reported, of those spent", "all", "all" if honest else "not all", honest),
    ]
    return Section("What a request costs", text, claims)


def _ours(api: Api, effort: str) -> Loop:
    return our_loop(api.url, runtime=Runtime(), effort=effort)  # a runtime that knows no lengths yet


def _count(api: Api, loop: Loop, ask: Callable[[object], str], learning: int) -> Spent:
    api.clear()
    answered = loop(ask("first"))
    calls = api.calls()
    later = calls
    for number in range(learning):
        api.clear()
        loop(ask(number))
        later = api.calls()
    return Spent(
        len(calls),
        sum(call.completion_tokens for call in calls),
        sum(call.admission_tokens for call in calls),
        sum(call.admission_tokens for call in later),
        answered.tokens,
    )


def _draw(spent: Mapping[str, Spent], pictures: Path) -> str:
    figure, (left, right) = canvas(8, 2.8, ncols=2, sharey=True)
    upwards = [*reversed([*spent.items()])]
    names = [name.replace("`", "") for name, _ in upwards]
    rows = [row for _, row in upwards]
    colours = [OPTILLM if name == OPTILLM_DEFAULT else BLUE for name, _ in upwards]
    left.bar_label(left.barh(names, [row.calls for row in rows], color=colours), padding=2)
    right.barh(names, [row.charged / 1000 for row in rows], color=GREY, alpha=0.35)
    right.barh(names, [row.later / 1000 for row in rows], color=colours)
    left.set_xlabel("calls of a request")
    right.set_xlabel("tokens charged at admission (thousands)\ngrey: first requests; coloured: later ones")
    for axes in (left, right):
        axes.grid(axis="y", visible=False)
        axes.margins(x=0.12)
    return save(figure, pictures, "cost", "calls and charged tokens of one request, OptiLLM's default and our efforts")
