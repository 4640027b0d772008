"""Token limits that fit: how many requests a limit of tokens per minute lets through."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cerebras.cloud.sdk import RateLimitError

from bench.api import Api, simulated
from bench.figures import ratio
from bench.loops import MODEL, our_loop, sdk_client
from bench.measure import simultaneously
from bench.page import Claim, Section, table
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.simulator import SimQuestion, read_answer

LIMIT = 1_000_000  # tokens per minute: the developer tier's
TIME_SCALE = 10
AT_ONCE = 8
LEARNING = 4  # requests after which the lengths of every step's replies are known
MOST_CHARGED = 16_384  # tokens that a call is charged for at most
PATIENCE = 50  # tries of a call: no request may lose a part, or the two would not have done the same

TEXT = """\
Requests of effort `medium`, {at_once} at a time, on an API that admits {limit:,} tokens a minute, with
`CEPO_CEREBRAS_FIT_TOKENS` off and on. Every token limit is 4096, replies have 400 tokens on average: all the same
length, or spread (lognormal, sigma 0.4), so that some are cut at the lowered limit and asked for again. Measured
from the moment when the lengths of replies are known and the API's bucket is empty. Each question has an answer of
its own, which stands at the end of every reply; *answers kept* counts those that came back right. A minute of the
API's is {minute:g} s here; calls are tried up to {patience} times, and nothing spaces them out.

{rows}"""


@dataclass(frozen=True)
class Flow:
    """Requests per minute of the API's, tokens charged per minute, and how many of the answers are the right ones."""

    rate: float
    charged: float
    right: int
    asked: int
    again: int


def run(pictures: Path, quick: bool) -> Section:
    """Measure the throughput with and without learnt limits."""
    del pictures
    off = _flow(0.0, False, 1 if quick else 12, quick)
    on = _flow(0.0, True, 2 if quick else 32, quick)
    spread = _flow(0.4, True, 2 if quick else 32, quick)
    rows = [
        [replies, switch, f"{flow.rate:.1f}", ratio(flow.rate, off.rate), f"{flow.charged / LIMIT:.0%}", flow.again,
         f"{flow.right} of {flow.asked}"]
        for replies, switch, flow in (("same length", "off", off), ("same length", "on", on), ("spread", "on", spread))
    ]  # fmt: skip
    head = ["replies", "fitting", "requests/min", "× off", "of the limit used", "calls asked for again", "answers kept"]
    text = TEXT.format(at_once=AT_ONCE, limit=LIMIT, minute=60 / TIME_SCALE, patience=PATIENCE, rows=table(head, rows))
    kept = all(flow.right == flow.asked for flow in (off, on, spread))
    claims = [
        Claim("requests/min with fitted token limits, of those without", "≥ 2 ×", ratio(on.rate, off.rate),
              on.rate >= 2 * off.rate),
        Claim("answers changed by it", "none", "none" if kept else "some", kept),
    ]  # fmt: skip
    return Section("Token limits that fit", text, claims[1:] if quick else claims)


def _flow(sigma: float, fit: bool, count: int, quick: bool) -> Flow:
    limits = () if quick else (f"--limits=tokens_per_minute={LIMIT}",)
    with simulated(f"--time-scale={TIME_SCALE}", *limits, seconds=0.2 * TIME_SCALE / 4, sigma=sigma) as api:
        loop = our_loop(api.url, runtime=Runtime(), fit_tokens=fit, call_attempts=PATIENCE)
        for number in range(LEARNING):  # until the lengths are known
            loop(SimQuestion(f"learn-{number}", 1.0, "42").text)
        _use_up(api, quick)
        api.clear()
        questions = [SimQuestion(f"fit-{number}", 1.0, str(100 + number)) for number in range(count)]
        started = time.monotonic()
        answered = simultaneously(loop, [question.text for question in questions], AT_ONCE)
        minutes = (time.monotonic() - started) * TIME_SCALE / 60
        calls = [call for call in api.calls() if call.status == 200]
    right = sum(
        read_answer(one.answer or "", question.id) == question.answer and not one.degraded
        for one, question in zip(answered, questions, strict=True)
    )
    charged = sum(call.admission_tokens for call in calls)
    return Flow(count / minutes, charged / minutes, right, count, len(calls) - 27 * count)


def _use_up(api: Api, quick: bool) -> None:
    """Empty the API's bucket with calls that are charged much and answered at once: from then on the limit governs."""
    client = sdk_client(api.url).with_options(max_retries=0)
    messages: Any = [{"role": "user", "content": "Hello."}]
    for _ in range(0 if quick else 2 * LIMIT // MOST_CHARGED):
        try:
            client.chat.completions.create(messages=messages, model=MODEL, max_completion_tokens=MOST_CHARGED)
        except RateLimitError:  # noqa: PERF203 - it is what ends the loop
            return
