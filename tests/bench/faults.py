"""`python -m bench.faults`: measure OptiLLM's loop and ours with faults and rate limits.

Writes a table into docs/reliability.md. The simulated model answers all questions correctly, so a wrong answer is a
text that was cut.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cerebras.cloud.sdk import Cerebras
from statistical_model.questions import SimQuestion
from statistical_model.texts import read_answer

from bench.api import simulated
from bench.loops import KEY, Loop, LoopResult, close_connections, optillm_loop, our_loop
from bench.measure import run_parallel
from bench.page import DOCS, insert, table
from optillm_cerebras_cepo.runtime import Runtime

PAGE = DOCS / "reliability.md"
BEGIN, END = "<!-- faults -->", "<!-- /faults -->"

TIME_SCALE = 20  # simulated seconds in one real second, for the API's limits and the waits of both loops
REQUESTS = 200
OPTILLM_REQUESTS = 50
CLIENTS = 8
ANSWER = "42"

Row = Sequence[str]  # options of the simulated API


def _faults(**shares: float) -> Row:
    return [f"--fault={name.strip('_')}={share}" for name, share in shares.items()]


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "40 % answered 429": _faults(queue_exceeded=0.4),
        "10 % answered 5xx": _faults(_500=0.04, _502=0.03, _503=0.03),
        "every call answered 500": _faults(_500=1.0),
        "10 % resets": _faults(reset=0.05, reset_body=0.05),
        "20 % of replies cut off": _faults(cut=0.2),
        "20 % of replies cut short (`length`)": _faults(length=0.2),
        "20 % empty": _faults(empty_content=0.1, null_content=0.1),
        "all of these, a quarter of each": _faults(
            queue_exceeded=0.1, _500=0.01, _502=0.0075, _503=0.0075, reset=0.0125, reset_body=0.0125, cut=0.05,
            length=0.05, empty_content=0.025, null_content=0.025,
        ),
        "300 requests/min, bursts of 10": ["--limits=requests_per_minute=300,burst=10"],
    }
)  # fmt: skip
LOOPS = ("OptiLLM", "ours", "ours, auto")

TEXT = """\
{requests} requests of our loop with each effort and {optillm_requests} of OptiLLM's loop, {clients} at a time; each
row and loop on its own API with these random faults. An hour of the API takes {hour:g} minutes: limits refill faster
by this factor, and the waits of both loops are shorter by it. *Wrong* are answers that differ from the model's, which
are all right, so these are texts that were cut. *Calls* is the average per request. *Seconds* are real seconds until
all requests have ended, answered or failed; failing is fast. Occasionally a call of OptiLLM's loop waits for its
client's timeout of 60 s, as in [benchmarks.md](benchmarks.md).

{rows}"""


class FastClient(Cerebras):
    """The SDK's client with its own retries, with waits shortened by TIME_SCALE."""

    def _calculate_retry_timeout(self, *args: object, **named: object) -> float:
        return float(super()._calculate_retry_timeout(*args, **named)) / TIME_SCALE  # type: ignore[arg-type]


@dataclass(frozen=True)
class Outcome:
    """Results of the requests of one loop in one row."""

    requests: int
    answered: int
    complete: int
    wrong: int
    calls: int
    seconds: float


def measure(row: Row, name: str, requests: int, seed: int = 1) -> Outcome:
    """Run this many requests of one loop, on a new API."""
    with simulated(f"--time-scale={TIME_SCALE}", f"--seed={seed}", *row) as api:
        questions = [SimQuestion(f"fault-{number}", 1.0, ANSWER) for number in range(requests)]
        started = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):  # OptiLLM's functions print failures
            results = run_parallel(_loop(api.url, name), [question.text for question in questions], CLIENTS)
        seconds = time.monotonic() - started
        calls = len(api.calls())
    good = [one for one in results if one.answer is not None]
    wrong = sum(not _right(one, question) for one, question in zip(results, questions, strict=True))
    return Outcome(requests, len(good), sum(not one.degraded for one in good), wrong, calls, seconds)


def _right(result: LoopResult, question: SimQuestion) -> bool:
    """Return whether there is no answer, or a complete and right one: the model writes the answer in the last line."""
    return result.answer is None or read_answer(result.answer, question.id) == ANSWER


def _loop(url: str, name: str) -> Loop:
    if name == "OptiLLM":
        return optillm_loop(url, FastClient(api_key=KEY, base_url=url, warm_tcp_connection=False))
    runtime = Runtime(time_scale=TIME_SCALE)
    return our_loop(url, runtime=runtime, **({"effort": "auto"} if "auto" in name else {}))


def report(outcomes: Mapping[str, Mapping[str, Outcome]]) -> str:
    """Return the table, with a line for each loop and row."""
    head = ["faults", "", "answered", "without omissions", "wrong", "calls", "seconds"]
    rows = [
        [row, name, f"{done.answered} of {done.requests}", "not reported" if name == "OptiLLM" else done.complete,
         done.wrong, f"{done.calls / done.requests:.1f}", f"{done.seconds:.0f}"]
        for row, loops in outcomes.items()
        for name, done in loops.items()
    ]  # fmt: skip
    return table(head, rows)


def main() -> None:
    """Run the measurement of the command line."""
    parser = argparse.ArgumentParser(prog="bench.faults", description="OptiLLM's loop and ours with faults.")
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N", help="requests of our loop per effort")
    parser.add_argument(
        "--optillm-requests", type=int, default=OPTILLM_REQUESTS, metavar="N", help="requests of OptiLLM's loop"
    )
    parser.add_argument("--only", action="append", metavar="WORD", help="only rows with this word; writes nothing")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # both loops log every call
    outcomes: dict[str, dict[str, Outcome]] = {}
    for row, options in ROWS.items():
        if given.only and not any(word in row for word in given.only):
            continue
        for name in LOOPS:
            count = given.optillm_requests if name == "OptiLLM" else given.requests
            try:
                done = measure(options, name, count)
            finally:
                close_connections()
            outcomes.setdefault(row, {})[name] = done
            print(f"{row}; {name}: {done}", flush=True)
    rows = report(outcomes)
    print(rows)
    if given.only is None:
        text = TEXT.format(
            requests=given.requests,
            optillm_requests=given.optillm_requests,
            clients=CLIENTS,
            hour=60 / TIME_SCALE,
            rows=rows,
        )
        insert(text, PAGE, BEGIN, END)


if __name__ == "__main__":
    main()
