"""Both loops with a real, very small model."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

from bench.loops import Loop, LoopResult, optillm_loop, our_loop, sdk_client
from bench.page import Section, table
from optillm_cerebras_cepo.demo.local_model import LocalModel, serving

QUESTIONS = ("Anna has 3 apples and buys 4 more. How many apples does she have?", "What is 12 plus 9?")
TOKENS = 100
SMALL: Mapping[str, Any] = {
    "bestofn_n": 2,
    "planning_n": 2,
    "planning_m": 2,
    "bestofn_max_tokens": TOKENS,
    **{f"planning_max_tokens_{step}": TOKENS for step in ("step1", "step2", "step3", "step4", "direct_resp")},
}

TEXT = """\
SmolLM2-135M-Instruct (4 bits) on this machine's processor, two simultaneous calls, two candidates with two plans each,
at most {tokens} tokens per reply, both loops with the same questions. It is a real model: some replies are cut, empty
or irrelevant, and many ratings are invalid. It is too weak for conclusions about accuracy, and the times are those of
two processor cores; the table shows how requests end with such replies. OptiLLM's calls and tokens are counted in its
client.

{rows}

### The final step

`auto` with and without the final step (`planning_max_tokens_step4` 0), which asks the question again after the plans
and the review; one candidate, {asked} questions for a capital. *Right*: the answer names it. *Names only it*: the
answer is at most {few} words long, as the question asks.

{final}"""

CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Spain": "Madrid",
    "Germany": "Berlin",
    "Russia": "Moscow",
    "England": "London",
    "China": "Beijing",
    "Egypt": "Cairo",
    "Greece": "Athens",
}
FEW_WORDS = 6


class CountingClient:
    """The SDK's client, which counts calls and completion tokens."""

    def __init__(self, client: Any) -> None:
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self._client = client
        self._lock = threading.Lock()
        self.calls = self.tokens = 0

    def _create(self, **fields: Any) -> Any:
        with self._lock:
            self.calls += 1
        reply = self._client.chat.completions.create(**fields)
        with self._lock:
            self.tokens += reply.usage.completion_tokens
        return reply


def run(pictures: Path, quick: bool) -> Section:
    """Ask both loops the questions, unless the model is not installed."""
    del pictures
    title = "A real, very small model"
    if quick or not importlib.util.find_spec("xllamacpp"):
        return Section(title, "Not run: it takes minutes and needs the demo's model (`make venv`).")
    rows = []
    with serving(context=2048) as model:
        counting = CountingClient(sdk_client(model.base_url, model.api_key))
        loops = _loops(model, counting)
        for number, question in enumerate(QUESTIONS, 1):
            for name, loop in loops.items():
                counting.calls = counting.tokens = 0
                done = loop(question)
                calls, tokens = (done.calls, done.tokens) if done.calls else (counting.calls, counting.tokens)
                rows.append([number, name, calls, tokens, f"{done.seconds:.0f}", _describe(done)])
        final = _final_step(model)
    head = ["question", "", "calls", "completion tokens", "seconds", "outcome"]
    asked = len(CAPITALS)
    text = TEXT.format(tokens=TOKENS, rows=table(head, rows), asked=asked, few=FEW_WORDS, final=final)
    return Section(title, text)


def _final_step(model: LocalModel) -> str:
    rows = []
    for name, limit in (("with the final step", TOKENS), ("without it", 0)):
        settings = {**SMALL, "effort": "auto", "bestofn_n": 1, "planning_max_tokens_step4": limit}
        loop = our_loop(model.base_url, model.api_key, model=model.model, **settings)
        done = [loop(f"What is the capital of {country}? Answer with its name alone.") for country in CAPITALS]
        right = [
            one.answer for one, city in zip(done, CAPITALS.values(), strict=True) if one.answer and city in one.answer
        ]
        short = sum(len(answer.split()) <= FEW_WORDS for answer in right)
        calls, seconds = (fmean(getattr(one, figure) for one in done) for figure in ("calls", "seconds"))
        rows.append([name, len(right), short, f"{calls:.1f}", f"{seconds:.1f}"])
    return table(["", "right", "names only it", "calls", "seconds"], rows)


def _loops(model: LocalModel, counting: CountingClient) -> dict[str, Loop]:
    return {
        "OptiLLM": optillm_loop(model.base_url, counting, model.model, **SMALL),
        "ours": our_loop(model.base_url, model.api_key, model=model.model, **SMALL),
        "ours, `auto`": our_loop(model.base_url, model.api_key, model=model.model, effort="auto", **SMALL),
    }


def _describe(done: LoopResult) -> str:
    if done.answer is None:
        return f"no answer ({done.error})"
    return f"answered; {done.degraded} omissions" if done.degraded else "answered"
