"""Requests side by side over real HTTP: order, limits of threads and calls, and cancellation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from conftest import KEY
from support.asking import ask
from support.once import once
from support.releasing import released_at_the_end, releasing
from support.solving import solve
from support.waiting import until

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL: dict[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}


def test_calls_in_flight_end_with_their_request(simulate: Simulate) -> None:
    """One of nine plans gets a 401: the other eight are cancelled, not waited for."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    api = simulate(rules=(Rule(reply=wrong, times=1, held=True), Rule(fault="hang")))
    once(lambda: api.in_flight == 9, api.release)
    with pytest.raises(errors.WrongKey):
        ask(api.url, rpm=6000)
    until(lambda: api.in_flight == 0, lambda: api.chat_calls)
    assert sorted(call.status or 0 for call in api.chat_calls) == [401] + [CLIENT_GONE] * 8


def idle(api: Simulator) -> bool:
    """Return whether no call is open."""
    return api.in_flight == 0


def test_calls_being_sent_end_with_their_request(simulate: Simulate) -> None:
    """The 401 arrives while the other plans are being sent: no connection stays open in any of 20 requests."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    for turn in range(20):
        api, runtime = simulate(rules=(Rule(reply=wrong, times=1, latency=turn / 1000), Rule(fault="hang"))), Runtime()
        with pytest.raises(errors.WrongKey):
            solve(runtime, Question("?"), Settings(), runtime.client(api.url, KEY))
        until(partial(idle, api))
        runtime.reset()


def test_threads_do_not_grow_with_the_load(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 24 requests at once, no more are planned at a time than REQUESTS."""
    monkeypatch.setattr("optillm_cerebras_cepo.runtime.REQUESTS", 4)
    api, runtime = simulate(rules=(Rule(held=True),)), Runtime()
    client, settings = runtime.client(api.url, KEY), Settings(bestofn_n=2, planning_n=1, planning_m=2, rpm=60_000)
    before = threading.active_count()  # earlier tests leave loops of their own behind
    with ThreadPoolExecutor(24) as callers, released_at_the_end(api):
        running = [callers.submit(solve, runtime, Question("?"), settings, client) for _ in range(24)]
        until(lambda: api.held == 4 * 2 and runtime.shared.planning.waiting == 20)
        threads_of_one = 2 * (1 + 2)  # its candidates, and two attempts of each
        assert threading.active_count() <= before + 24 + 4 * threads_of_one + 12  # and those of the network
        api.release()
        assert all(future.result().outcome.answer for future in running)
    runtime.reset()


def test_waiting_requests_are_planned_in_order_of_age(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one planned request at a time."""
    monkeypatch.setattr("optillm_cerebras_cepo.runtime.REQUESTS", 1)
    api, runtime, names = simulate(), Runtime(), ["first", "second", "third"]
    client = runtime.client(api.url, KEY)
    with ThreadPoolExecutor(len(names)) as callers, runtime.shared.planning.slot((0,), Deadline()):
        for number, name in enumerate(names, 1):
            callers.submit(solve, runtime, Question(f"The {name}?"), Settings(**SMALL), client)
            until(lambda: runtime.shared.planning.waiting == number)  # noqa: B023
    asked = [name for call in api.chat_calls for name in names if f"The {name}?" in str(call.body["messages"])]
    assert list(dict.fromkeys(asked)) == names
    runtime.reset()


def test_concurrency_limits_the_calls_of_all_requests(simulate: Simulate) -> None:
    """Two planned requests and a direct one at once never exceed the setting."""
    api = simulate(rules=(Rule(held=True),))
    two_plans: dict[str, Any] = {"bestofn_n": 2, "planning_n": 1, "planning_m": 1}
    with ThreadPoolExecutor(3) as callers, released_at_the_end(api):
        running = [
            callers.submit(ask, api.url, concurrency=2, effort=effort, **two_plans)
            for effort in ("medium", "medium", "none")
        ]
        until(lambda: api.held == 2)
        with releasing(api):
            assert all(future.result().outcome.answer for future in running)
    assert api.peak_in_flight == 2


def test_direct_answer_goes_before_planned_calls(simulate: Simulate) -> None:
    """With one call at a time, taken by a planned request, the direct answer is next."""
    api, runtime = simulate(rules=(Rule(held=True),)), Runtime()
    client = runtime.client(api.url, KEY)
    limiter = runtime.shared.limiters.limiter(None, client.address, "llama-3.3-70b", 1, {})
    with ThreadPoolExecutor(2) as callers, released_at_the_end(api):
        planned = callers.submit(solve, runtime, Question("A plan?"), Settings(), client)
        until(lambda: api.held == 1 and limiter.waiting == 8)
        direct = callers.submit(solve, runtime, Question("Directly?"), Settings(effort="none"), client)
        until(lambda: limiter.waiting == 9)
        with releasing(api):
            assert direct.result().outcome.answer
            assert planned.result().outcome.answer
    assert "Directly?" in str(api.chat_calls[1].body["messages"])
    runtime.reset()
