"""Both loops with a real, very small model."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path
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

{rows}"""


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
    head = ["question", "", "calls", "completion tokens", "seconds", "outcome"]
    return Section(title, TEXT.format(tokens=TOKENS, rows=table(head, rows)))


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
