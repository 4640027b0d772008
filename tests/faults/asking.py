"""One question to one API, through everything that a request goes through, and what is known of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from conftest import KEY
from support.stalled_time import stalled_time
from support.waiting import until

from optillm_cerebras_cepo.chat import Question
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.events import Called, Event
from optillm_cerebras_cepo.runtime import Runtime, Solved
from optillm_cerebras_cepo.settings import PRESETS, Settings
from optillm_cerebras_cepo.simulator import Rule, Simulator

TEXT = "Six times seven is forty-two, for seven times six is that. Rating: [[1]]. The answer is \\boxed{42}."
"""What the model says to everything: an answer that a judge's reader can read, and that nobody takes for its half."""

CALLS = 4
"""Of one candidate with one plan: plan, execute, review, final."""

ONE: Mapping[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}
SPARE: Mapping[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 2}
"""One more attempt at a plan than is needed."""

WAITS = 1_000
"""How many times as fast waits of ours pass: half a second is half a millisecond."""


@dataclass
class Asked:
    """What became of a question: an answer or an error, what was heard of it, and its calls as we count them."""

    solved: Solved | None = None
    error: CepoError | None = None
    heard: str = ""
    calls: list[Called] = field(default_factory=list)

    @property
    def done(self) -> Solved:
        """The solution; an AssertionError where there is none."""
        assert self.solved is not None, self.error
        return self.solved


def ask(url: str, *, listens: bool = False, **settings: Any) -> Asked:
    """Ask with these settings, over connections of its own.

    Args:
        url: the API's.
        listens: whether somebody hears the answer while it is written.
        settings: over the defaults and the effort's preset.

    """
    asked = Asked()

    def observe(event: Event) -> None:
        if isinstance(event, Called):
            asked.calls.append(event)

    def listen(delta: Mapping[str, Any]) -> None:
        asked.heard += delta.get("content", "")

    runtime = Runtime(time_scale=WAITS)
    chosen = Settings(**{**PRESETS.get(settings.get("effort", ""), {}), **settings})
    try:
        asked.solved = runtime.solve(
            Question("What is 6 times 7?"),
            chosen,
            runtime.client(url, KEY),
            observe,
            listener=listen if listens else None,
        )
    except CepoError as error:
        asked.error = error
    finally:
        runtime.reset()
    return asked


def ask_in_stalled_time(api: Simulator, **more: Any) -> Asked:
    """Ask where a call that hangs or trickles is given up at once, as if the time-out of a call were over."""
    with stalled_time(api):
        return ask(api.url, **more)


def at(place: int, fault: Any, times: int = 1) -> tuple[Rule, ...]:
    """Rules by which calls from this place on, from 1, meet the fault so many times, and all others TEXT."""
    before = (Rule(text=TEXT, times=place - 1),) if place > 1 else ()
    return (*before, Rule(text=TEXT, fault=fault, times=times), Rule(text=TEXT))


def settle(api: Simulator) -> None:
    """Wait until the API has no call under way: it sees a moment later than we that a client has left."""
    until(lambda: all(call.ended is not None for call in api.chat_calls), lambda: api.chat_calls)


def check_books(asked: Asked, api: Simulator) -> None:
    """Every call and every token that the API counts is in the request's ledger, and nothing more."""
    settle(api)
    total = asked.done.ledger.total
    usage = api.usage
    counted = (total.calls, total.prompt_tokens, total.completion_tokens)
    assert counted == (len(api.chat_calls), usage.prompt_tokens, usage.completion_tokens)
    assert len(asked.calls) == total.calls
