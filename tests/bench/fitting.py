"""Throughput under a limit of tokens per minute, with and without adaptive token limits."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cerebras.cloud.sdk import RateLimitError
from statistical_model.questions import SimQuestion
from statistical_model.texts import read_answer

from bench.api import Api, simulated
from bench.figures import ratio
from bench.loops import MODEL, our_loop, sdk_client
from bench.measure import run_parallel
from bench.page import Claim, Section, table
from optillm_cerebras_cepo.runtime import Runtime

LIMIT = 1_000_000  # tokens per minute, as in the developer tier
TIME_SCALE = 10
CLIENTS = 8
LEARNING = 4  # requests after which the reply lengths of all steps are learned
MOST_CHARGED = 16_384  # largest charge of a call, in tokens
ATTEMPTS = 50  # per call, so that no request loses a part and the compared requests do the same work

TEXT = """\
Requests of effort `medium`, {clients} at a time, on an API with a limit of {limit:,} tokens per minute, with
`CEPO_CEREBRAS_FIT_TOKENS` off and on. All token limits are 4096; replies have 400 tokens on average, either all the
same length or lognormally distributed with sigma 0.4, so that some are cut at the lowered limit and requested again.
The measurement starts when the reply lengths are learned and the API's bucket is empty. Each question has its own
answer at the end of every reply; *right answers* counts the questions whose answer is right and complete. A minute of
the API takes {minute:g} s; each call has up to {attempts} attempts.

{rows}"""


@dataclass(frozen=True)
class Throughput:
    """Requests and charged tokens per simulated minute, right answers, requests, and repeated calls."""

    rate: float
    charged: float
    right: int
    requests: int
    repeated: int


def run(pictures: Path, quick: bool) -> Section:
    """Measure the throughput with and without adaptive token limits."""
    del pictures
    off = _measure(0.0, False, 1 if quick else 12, quick)
    on = _measure(0.0, True, 2 if quick else 32, quick)
    varying = _measure(0.4, True, 2 if quick else 32, quick)
    rows = [
        [
            replies,
            switch,
            f"{result.rate:.1f}",
            ratio(result.rate, off.rate),
            f"{result.charged / LIMIT:.0%}",
            result.repeated,
            f"{result.right} of {result.requests}",
        ]
        for replies, switch, result in (
            ("same length", "off", off),
            ("same length", "on", on),
            ("varying", "on", varying),
        )
    ]
    head = [
        "replies",
        "adaptive limits",
        "requests/min",
        "relative to off",
        "limit used",
        "repeated calls",
        "right answers",
    ]
    text = TEXT.format(clients=CLIENTS, limit=LIMIT, minute=60 / TIME_SCALE, attempts=ATTEMPTS, rows=table(head, rows))
    kept = all(result.right == result.requests for result in (off, on, varying))
    claims = [
        Claim("requests/min with adaptive token limits, relative to those without", "≥ 2 ×", ratio(on.rate, off.rate),
              on.rate >= 2 * off.rate, headline=True),
        Claim("answers changed by adaptive token limits", "none", "none" if kept else "some", kept),
    ]  # fmt: skip
    return Section("Adaptive token limits", text, claims[1:] if quick else claims)


def _measure(sigma: float, fit: bool, count: int, quick: bool) -> Throughput:
    limits = () if quick else (f"--limits=tokens_per_minute={LIMIT}",)
    with simulated(f"--time-scale={TIME_SCALE}", *limits, seconds=0.2 * TIME_SCALE / 4, sigma=sigma) as api:
        loop = our_loop(api.url, runtime=Runtime(), fit_tokens=fit, call_attempts=ATTEMPTS)
        for number in range(LEARNING):  # until the lengths are learned
            loop(SimQuestion(f"learn-{number}", 1.0, "42").text)
        _empty_bucket(api, quick)
        api.clear()
        questions = [SimQuestion(f"fit-{number}", 1.0, str(100 + number)) for number in range(count)]
        started = time.monotonic()
        results = run_parallel(loop, [question.text for question in questions], CLIENTS)
        minutes = (time.monotonic() - started) * TIME_SCALE / 60
        calls = [call for call in api.calls() if call.status == 200]
    right = sum(
        read_answer(one.answer or "", question.id) == question.answer and not one.degraded
        for one, question in zip(results, questions, strict=True)
    )
    charged = sum(call.admission_tokens for call in calls)
    return Throughput(count / minutes, charged / minutes, right, count, len(calls) - 24 * count)


def _empty_bucket(api: Api, quick: bool) -> None:
    """Empty the API's bucket with fast calls that have a large charge, so that the limit applies from the start."""
    client = sdk_client(api.url).with_options(max_retries=0)
    messages: Any = [{"role": "user", "content": "Hello."}]
    for _ in range(0 if quick else 2 * LIMIT // MOST_CHARGED):
        try:
            client.chat.completions.create(messages=messages, model=MODEL, max_completion_tokens=MOST_CHARGED)
        except RateLimitError:  # noqa: PERF203 - ends the loop
            return
