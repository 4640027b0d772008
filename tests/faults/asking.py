"""Run one request against a simulated API, and collect its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conftest import KEY
from support.solving import solve
from support.stalled_time import stalled_time
from support.waiting import until

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import CallFinished, Event
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.settings.loading import PRESETS
from optillm_cerebras_cepo.simulator import Rule, Simulator

TEXT = "Six times seven is forty-two, for seven times six is that. Rating: [[1]]. The answer is \\boxed{42}."
"""Answer to all calls. It contains a rating, and its first half differs from the whole."""

CALLS = 4
"""Calls of one candidate with one plan: plan, execute, review, final."""

ONE: Mapping[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}
SPARE: Mapping[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 2}
"""Settings for one more attempt at a plan than needed."""

WAITS = 1_000
"""Factor by which our waits are shortened: half a second takes half a millisecond."""


@dataclass
class Run:
    """Outcome of a request: a result or an error, the streamed text, and the finished calls."""

    answered: RequestResult | None = None
    error: CepoError | None = None
    streamed: str = ""
    calls: list[CallFinished] = field(default_factory=list)

    @property
    def result(self) -> RequestResult:
        """The result. Raise AssertionError if the request failed."""
        assert self.answered is not None, self.error
        return self.answered


def ask(url: str, *, listens: bool = False, **settings: Any) -> Run:
    """Run a request with these settings and a new runtime.

    Args:
        url: of the API.
        listens: whether the answer is streamed.
        settings: on top of the defaults and the effort's preset.

    """
    run = Run()

    def observe(event: Event) -> None:
        if isinstance(event, CallFinished):
            run.calls.append(event)

    def listen(delta: Mapping[str, Any]) -> None:
        run.streamed += delta.get("content", "")

    runtime = Runtime(time_scale=WAITS)
    chosen = Settings(**{**PRESETS.get(settings.get("effort", ""), {}), **settings})
    try:
        run.answered = solve(
            runtime,
            Question("What is 6 times 7?"),
            chosen,
            runtime.client(url, KEY),
            observe,
            listener=listen if listens else None,
        )
    except CepoError as error:
        run.error = error
    finally:
        runtime.reset()
    return run


def ask_in_stalled_time(api: Simulator, **more: Any) -> Run:
    """Run a request for which calls that hang or trickle time out immediately."""
    with stalled_time(api):
        return ask(api.url, **more)


def at(place: int, fault: Any, times: int = 1) -> tuple[Rule, ...]:
    """Return rules that give `times` calls from number `place` on (from 1) the fault, and all calls TEXT."""
    before = (Rule(text=TEXT, times=place - 1),) if place > 1 else ()
    return (*before, Rule(text=TEXT, fault=fault, times=times), Rule(text=TEXT))


def settle(api: Simulator) -> None:
    """Wait until the API has no running call: it notices disconnects with a delay."""
    until(lambda: all(call.ended is not None for call in api.chat_calls), lambda: api.chat_calls)


def check_usage(run: Run, api: Simulator) -> None:
    """Assert that the request counts exactly the calls and tokens that the API counts."""
    settle(api)
    total = run.result.ledger.total
    usage = api.usage
    counted = (total.calls, total.prompt_tokens, total.completion_tokens)
    assert counted == (len(api.chat_calls), usage.prompt_tokens, usage.completion_tokens)
    assert len(run.calls) == total.calls
