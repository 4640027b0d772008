"""`python -m bench.faults`: OptiLLM's loop and ours among faults and under limits; writes a table into a page of docs/.

The questions are such that the simulated model answers every one of them rightly. So an answer that is not the right
one is a text that was cut, or none: the loop's fault.
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

from bench.api import simulated
from bench.loops import KEY, Answered, Loop, hang_up, optillm_loop, our_loop
from bench.measure import simultaneously
from bench.page import DOCS, insert, table
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.simulator import SimQuestion, read_answer

PAGE = DOCS / "reliability.md"
BEGIN, END = "<!-- faults -->", "<!-- /faults -->"

TIME_SCALE = 20  # so many of the API's seconds pass in a real one, for its limits and for the waits of both loops
REQUESTS = 200
OPTILLM_REQUESTS = 50
AT_ONCE = 8
ANSWER = "42"

Row = Sequence[str]  # options of the simulated API


def _faults(**shares: float) -> Row:
    return [f"--fault={name.strip('_')}={share}" for name, share in shares.items()]


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "40 % answered 429": _faults(queue_exceeded=0.4),
        "10 % answered 5xx": _faults(_500=0.04, _502=0.03, _503=0.03),
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
{requests} requests of each of ours and {optillm_requests} of OptiLLM's own loop, {at_once} at a time, each row and loop
on an API of its own whose calls meet these faults by chance. An hour of the API's passes in {hour:g} minutes: so many
times faster do limits refill, and do the waits of both loops pass. *Wrong* are answers that are not what the model
said: it is right about every question, so they are texts that were cut. *Calls* are those of a request, on the average;
*seconds* are real ones, until all requests are over, answered or not: to fail is quick. Now and then a call of
OptiLLM's loop waits out its client's time-out of 60 s, here as in [benchmarks.md](benchmarks.md).

{rows}"""


class Hurried(Cerebras):
    """The SDK's client with its own retries, whose waits pass as fast as everything else here."""

    def _calculate_retry_timeout(self, *args: object, **named: object) -> float:
        return float(super()._calculate_retry_timeout(*args, **named)) / TIME_SCALE  # type: ignore[arg-type]


@dataclass(frozen=True)
class Outcome:
    """What became of the requests of one loop in one row."""

    asked: int
    answered: int
    whole: int
    wrong: int
    calls: int
    seconds: float


def measure(row: Row, name: str, requests: int, seed: int = 1) -> Outcome:
    """Ask so many questions of one loop, on a fresh API."""
    with simulated(f"--time-scale={TIME_SCALE}", f"--seed={seed}", *row) as api:
        questions = [SimQuestion(f"fault-{number}", 1.0, ANSWER) for number in range(requests)]
        started = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):  # OptiLLM's functions print what failed
            answered = simultaneously(_loop(api.url, name), [question.text for question in questions], AT_ONCE)
        seconds = time.monotonic() - started
        calls = len(api.calls())
    good = [one for one in answered if one.answer is not None]
    wrong = sum(not _right(one, question) for one, question in zip(answered, questions, strict=True))
    return Outcome(requests, len(good), sum(not one.degraded for one in good), wrong, calls, seconds)


def _right(answered: Answered, question: SimQuestion) -> bool:
    """Whether there is no answer, or the whole of the right one: its last line is the last that the model writes."""
    return answered.answer is None or read_answer(answered.answer, question.id) == ANSWER


def _loop(url: str, name: str) -> Loop:
    if name == "OptiLLM":
        return optillm_loop(url, Hurried(api_key=KEY, base_url=url, warm_tcp_connection=False))
    runtime = Runtime(time_scale=TIME_SCALE)
    return our_loop(url, runtime=runtime, **({"effort": "auto"} if "auto" in name else {}))


def tabled(seen: Mapping[str, Mapping[str, Outcome]]) -> str:
    """The table, a line for each loop in each row."""
    head = ["faults", "", "answered", "with nothing left out", "wrong", "calls", "seconds"]
    rows = [
        [row, name, f"{done.answered} of {done.asked}", "not told" if name == "OptiLLM" else done.whole, done.wrong,
         f"{done.calls / done.asked:.1f}", f"{done.seconds:.0f}"]
        for row, loops in seen.items()
        for name, done in loops.items()
    ]  # fmt: skip
    return table(head, rows)


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(prog="bench.faults", description="OptiLLM's loop and ours among faults.")
    parser.add_argument("--requests", type=int, default=REQUESTS, metavar="N", help="of each of our loops")
    parser.add_argument("--optillm-requests", type=int, default=OPTILLM_REQUESTS, metavar="N", help="of OptiLLM's loop")
    parser.add_argument("--only", action="append", metavar="WORD", help="rows with this word; then nothing is written")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # a line for each call
    seen: dict[str, dict[str, Outcome]] = {}
    for row, options in ROWS.items():
        if given.only and not any(word in row for word in given.only):
            continue
        for name in LOOPS:
            count = given.optillm_requests if name == "OptiLLM" else given.requests
            try:
                done = measure(options, name, count)
            finally:
                hang_up()
            seen.setdefault(row, {})[name] = done
            print(f"{row}; {name}: {done}", flush=True)
    rows = tabled(seen)
    print(rows)
    if given.only is None:
        text = TEXT.format(
            requests=given.requests,
            optillm_requests=given.optillm_requests,
            at_once=AT_ONCE,
            hour=60 / TIME_SCALE,
            rows=rows,
        )
        insert(text, PAGE, BEGIN, END)


if __name__ == "__main__":
    main()
