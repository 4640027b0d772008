"""The two loops as functions from a question to what became of it, for one process and one simulated API."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optillm.cepo.cepo as upstream
import yaml
from cerebras.cloud.sdk import Cerebras

from optillm_cerebras_cepo.chat import Question
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.runtime import RUNTIME, Runtime
from optillm_cerebras_cepo.settings import PRESETS, Settings
from optillm_cerebras_cepo.simulator import SimQuestion

KEY = "csk-0123456789abcdef"
MODEL = "llama-3.3-70b"
_used: set[Runtime] = set()
NAMES = ("OptiLLM", "ours")  # in tables and pictures


@dataclass(frozen=True)
class Answered:
    """What became of one request.

    Attributes:
        seconds: from the call of the loop to its end.
        answer: None when there is none.
        tokens: completion tokens that the loop reports.
        calls: how many calls it reports; OptiLLM's does not say.
        degraded: how many things were left out of it, as the loop says.
        error: the kind of error that ended it.

    """

    seconds: float
    answer: str | None = None
    tokens: int = 0
    calls: int = 0
    degraded: int = 0
    error: str = ""


Loop = Callable[[str], Answered]


def sdk_client(url: str, key: str = KEY) -> Cerebras:
    """A client as OptiLLM's server makes it, without the blocking call that warms it up."""
    return Cerebras(api_key=key, base_url=url, warm_tcp_connection=False)


def optillm_loop(url: str, client: Any = None, model: str = MODEL, **changes: Any) -> Loop:
    """OptiLLM's own `cepo`, its packaged configuration with reasoning switched off.

    The client is the SDK's with its own defaults (two retries), as OptiLLM's server makes it; but made once, which
    saves this loop the 30 ms that the server spends on a new one for every request.
    """
    packaged = yaml.safe_load((Path(upstream.__file__).parent / "configs" / "cepo_config.yaml").read_text())
    client = client or sdk_client(url)

    def loop(question: str) -> Answered:
        config = upstream.CepoConfig(**packaged | {"use_reasoning": False} | changes)
        started = time.monotonic()
        try:
            answer, tokens = upstream.cepo("", question, client, model, config)
        except Exception as error:  # whatever it is, the server answers 500
            return Answered(time.monotonic() - started, error=type(error).__name__)
        return Answered(time.monotonic() - started, answer, tokens)

    return loop


def our_loop(
    url: str,
    key: str = KEY,
    runtime: Runtime = RUNTIME,
    **settings: Any,
) -> Loop:
    """`cepo_cerebras` with these settings over its defaults and its effort's preset."""
    chosen = Settings(**{**PRESETS.get(settings.get("effort", ""), {}), **settings})
    client = runtime.client(url, key)
    _used.add(runtime)

    def loop(question: str) -> Answered:
        started = time.monotonic()
        try:
            solved = runtime.solve(Question(question), chosen, client)
        except CepoError as error:
            return Answered(time.monotonic() - started, error=type(error).__name__)
        return Answered(
            time.monotonic() - started,
            solved.outcome.answer,
            solved.ledger.total.completion_tokens,
            solved.ledger.total.calls,
            len(solved.degraded),
        )

    return loop


def hang_up() -> None:
    """Close the connections of all loops of ours so far; those that are used again make new ones."""
    while _used:
        _used.pop().reset()


def easy(name: object) -> str:
    """A question whose every sample is right, so that all plans agree."""
    return SimQuestion(f"easy-{name}", 1.0, "42").text


def split(name: object) -> str:
    """A question on which hardly two samples agree."""
    return SimQuestion(f"split-{name}", 0.01, "42", k=100).text
