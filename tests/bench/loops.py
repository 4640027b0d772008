"""OptiLLM's loop and ours as functions from a question to a result, in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optillm.cepo.cepo as upstream
import yaml
from cerebras.cloud.sdk import Cerebras
from statistical_model.questions import SimQuestion
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.runtime import RUNTIME, Runtime
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.settings.loading import PRESETS

KEY = "csk-0123456789abcdef"
MODEL = "llama-3.3-70b"
_runtimes: set[Runtime] = set()


@dataclass(frozen=True)
class LoopResult:
    """The result of one request.

    Attributes:
        seconds: duration of the request.
        answer: None if the request failed.
        tokens: completion tokens that the loop reports.
        calls: number of calls that the loop reports; OptiLLM's loop reports none.
        degraded: number of omissions that the loop reports.
        error: class name of the exception that ended the request.

    """

    seconds: float
    answer: str | None = None
    tokens: int = 0
    calls: int = 0
    degraded: int = 0
    error: str = ""


Loop = Callable[[str], LoopResult]


def sdk_client(url: str, key: str = KEY) -> Cerebras:
    """Return a client like that of OptiLLM's server, without the blocking warm-up request."""
    return Cerebras(api_key=key, base_url=url, warm_tcp_connection=False)


def optillm_loop(url: str, client: Any = None, model: str = MODEL, **changes: Any) -> Loop:
    """Return OptiLLM's `cepo` with its packaged configuration, except that reasoning is off.

    The client is the SDK's with default settings (two retries), like that of OptiLLM's server. It is created once; the
    server creates one for each request, which takes 30 ms.
    """
    packaged = yaml.safe_load((Path(upstream.__file__).parent / "configs" / "cepo_config.yaml").read_text())
    client = client or sdk_client(url)

    def loop(question: str) -> LoopResult:
        config = upstream.CepoConfig(**packaged | {"use_reasoning": False} | changes)
        started = time.monotonic()
        try:
            answer, tokens = upstream.cepo("", question, client, model, config)
        except Exception as error:  # the server replies to any exception with 500
            return LoopResult(time.monotonic() - started, error=type(error).__name__)
        return LoopResult(time.monotonic() - started, answer, tokens)

    return loop


def our_loop(url: str, key: str = KEY, runtime: Runtime = RUNTIME, **settings: Any) -> Loop:
    """Return `cepo_cerebras` with these settings on top of its defaults and its effort's preset."""
    chosen = Settings(**{**PRESETS.get(settings.get("effort", ""), {}), **settings})
    client = runtime.client(url, key)
    _runtimes.add(runtime)

    def loop(question: str) -> LoopResult:
        started = time.monotonic()
        try:
            result = solve(runtime, Question(question), chosen, client)
        except CepoError as error:
            return LoopResult(time.monotonic() - started, error=type(error).__name__)
        return LoopResult(
            time.monotonic() - started,
            result.outcome.answer,
            result.ledger.total.completion_tokens,
            result.ledger.total.calls,
            len(result.degraded),
        )

    return loop


def close_connections() -> None:
    """Close the connections of our loops; a loop that is used again opens new ones."""
    while _runtimes:
        _runtimes.pop().reset()


def easy(name: object) -> str:
    """Return a question for which all samples are right, so that all plans agree."""
    return SimQuestion(f"easy-{name}", 1.0, "42").text


def split(name: object) -> str:
    """Return a question for which hardly any two samples agree."""
    return SimQuestion(f"split-{name}", 0.01, "42", k=100).text
