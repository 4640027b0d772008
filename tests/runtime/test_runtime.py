"""What outlives a request, over real HTTP: connections, learned parameters, durations and limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEY
from support.asking import ask
from support.solving import solve

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import Parameters, Question
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.limits import RateLimits
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL: dict[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}


def solve_directly(url: str, **parameters: Any) -> RequestResult:
    """Make one direct call with these parameters."""
    question, client = Question("What is 6 times 7?"), RUNTIME.client(url, KEY)
    return solve(RUNTIME, question, Settings(effort="none"), client, parameters=Parameters(**parameters))


def test_unsupported_parameter_is_learned_once_per_process(simulate: Simulate) -> None:
    """The first call is refused and repeated without the parameter; no later call contains it."""
    refusal = Reply(400, {"message": "property 'top_p' is unsupported", "param": "", "code": "wrong_api_format"})
    api = simulate(rules=(Rule(reply=refusal, times=1),))
    first = ask(api.url, **SMALL)
    assert first.fitted == (
        "plan: top_p dropped",
        "execute: top_p dropped",
        "review: top_p dropped",
        "final: top_p dropped",
    )
    assert ask(api.url, **SMALL).outcome.answer
    assert ["top_p" in call.body for call in api.chat_calls] == [True] + [False] * 8


def test_what_is_learned_of_one_account_changes_no_other(simulate: Simulate) -> None:
    """With two keys in one process, one may have a smaller context or an API that lacks a parameter."""
    small = Reply(400, {"message": "Please reduce the length. Current length is 99 while limit is 64", "code": "x"})
    odd = simulate(rules=(Rule(reply=small, times=1),), unsupported=("top_p",))
    with pytest.raises(errors.PromptTooLong):
        solve_directly(odd.url, max_tokens=4000, top_p=0.5)
    sound = simulate()
    assert solve_directly(sound.url, max_tokens=4000, top_p=0.5).fitted == ()
    (call,) = sound.chat_calls
    assert (call.body["max_completion_tokens"], call.body["top_p"]) == (4000, 0.5)


def test_connections_are_kept_alive(simulate: Simulate) -> None:
    """A second request opens no connection."""
    api = simulate()
    ask(api.url, **SMALL)
    opened = api.connections
    ask(api.url, **SMALL)
    assert api.connections == opened


def test_call_duration_is_known_to_the_next_request(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five calls in sequence would exceed the deadline: one candidate is made, which needs no rating."""
    api = simulate(rules=(Rule(latency=0.05, times=1), Rule()))
    ask(api.url, effort="none")
    (model,) = RUNTIME.shared.call_seconds
    assert RUNTIME.shared.call_seconds[model] >= 0.05
    monkeypatch.setitem(RUNTIME.shared.call_seconds, model, 100.0)
    solved = ask(api.url, deadline=485.0)
    assert re.fullmatch(r"1 of 3 candidates: the remaining \d+ s allow no more", solved.degraded[0])
    assert RUNTIME.shared.call_seconds[model] < 100.0  # by this request's calls
    assert ask(api.url).degraded == ()


def test_workload_fits_the_known_rate_limits(simulate: Simulate) -> None:
    """With four calls left of five an hour and a deadline of ten minutes, no call is started in vain."""
    api = simulate(limits=RateLimits(requests_per_hour=5))
    ask(api.url, effort="none")
    solved = ask(api.url, deadline=600.0, bestofn_n=3, planning_n=1, planning_m=1)
    assert solved.degraded[0].startswith(
        "1 of 3 candidates: the API's rate limits allow no more calls in the remaining "
    )
    assert not [line for line in solved.degraded if "left out" in line]
    assert {call.status for call in api.chat_calls} == {200}
