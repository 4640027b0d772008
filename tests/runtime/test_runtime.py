"""What outlives a request, over real HTTP: the list of models, connections, learnt refusals."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from conftest import KEY
from support.asking import ask
from support.once import once
from support.ports import nobody_listens
from support.releasing import released_at_the_end, releasing
from support.solving import solve
from support.stalled_time import stalled_time
from support.waiting import until

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import Parameters, Question, Step
from optillm_cerebras_cepo.core.deadline import unlimited
from optillm_cerebras_cepo.runtime import RUNTIME, Runtime
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.limits import RateLimits
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL: dict[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}


def solve_directly(url: str, **parameters: Any) -> RequestResult:
    """One direct call with these parameters."""
    question, client = Question("What is 6 times 7?"), RUNTIME.client(url, KEY)
    return solve(RUNTIME, question, Settings(effort="none"), client, parameters=Parameters(**parameters))


def test_ratings_can_have_a_model_of_their_own(simulate: Simulate) -> None:
    """OptiLLM's `rating_model`, under any spelling."""
    api = simulate()
    ask(api.url, bestofn_n=2, planning_n=1, planning_m=1, rating_model="gptoss-120b")
    models = [call.body["model"] for call in api.chat_calls]
    assert (models.count("llama-3.3-70b"), models.count("gpt-oss-120b")) == (8, 2)


def test_what_a_judge_of_its_own_leaves_out_is_noted_too(simulate: Simulate) -> None:
    """Beside what the model that plans left out."""
    api = simulate(rules=(Rule(model="gpt-oss-120b", text="I cannot tell."),))
    solved = ask(api.url, bestofn_n=2, planning_n=1, planning_m=1, rating_model="gpt-oss-120b")
    assert sorted(solved.degraded) == [
        f"rating of candidate {number} left out: the judge's reply has none" for number in (1, 2)
    ]


def test_what_a_model_refuses_is_learnt_once_for_the_process(simulate: Simulate) -> None:
    """The first call is refused and asked again without the field; no later one carries it."""
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


def test_what_one_account_takes_says_nothing_of_another(simulate: Simulate) -> None:
    """Of two keys of one process one may have a smaller context, and an API that does not know a field."""
    small = Reply(400, {"message": "Please reduce the length. Current length is 99 while limit is 64", "code": "x"})
    odd = simulate(rules=(Rule(reply=small, times=1),), unsupported=("top_p",))
    with pytest.raises(errors.PromptTooLong):
        solve_directly(odd.url, max_tokens=4000, top_p=0.5)
    sound = simulate()
    assert solve_directly(sound.url, max_tokens=4000, top_p=0.5).fitted == ()
    (call,) = sound.chat_calls
    assert (call.body["max_completion_tokens"], call.body["top_p"]) == (4000, 0.5)


@pytest.mark.parametrize("seed", [2**63 - 1, 2**63 - 500, -(2**63), 0])
def test_each_call_has_a_seed_of_its_own_that_fits_64_bits(simulate: Simulate, seed: int) -> None:
    """Near the ends of their range as well: the API refuses a larger one."""
    api = simulate()
    question, client = Question("What is 6 times 7?"), RUNTIME.client(api.url, KEY)
    solve(RUNTIME, question, Settings(), client, parameters=Parameters(seed=seed))
    seeds = [call.body["seed"] for call in api.chat_calls]
    assert all(-(2**63) <= one < 2**63 for one in seeds)
    plans = [
        call.body["seed"] for call in api.chat_calls if call.body["temperature"] == Settings().limits(Step.PLAN)[0]
    ]
    assert len(set(plans)) == len(plans) == 9


def test_the_usage_reported_equals_the_usage_spent(simulate: Simulate) -> None:
    """By the API's own count, over all calls of a default request."""
    api = simulate()
    total = ask(api.url).ledger.total
    assert total.calls == len(api.chat_calls) == 27
    assert (total.prompt_tokens, total.completion_tokens) == (api.usage.prompt_tokens, api.usage.completion_tokens)


def test_connections_are_kept_alive(simulate: Simulate) -> None:
    """A second request opens none."""
    api = simulate()
    ask(api.url, **SMALL)
    opened = api.connections
    ask(api.url, **SMALL)
    assert api.connections == opened


def test_a_wrong_key_spends_nothing(simulate: Simulate) -> None:
    """The list of models needs the key too."""
    api = simulate(keys=("csk-another",))
    with pytest.raises(errors.WrongKey):
        ask(api.url)
    assert api.chat_calls == ()


def test_a_wrong_key_in_mid_request_ends_it(simulate: Simulate) -> None:
    """Of 27 calls at most those start that were under way together."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    api = simulate(rules=(Rule(reply=wrong),))
    with pytest.raises(errors.WrongKey):
        ask(api.url)
    assert len(api.chat_calls) <= 9


def test_an_unreachable_api_is_said_to_be_so() -> None:
    """After the last try."""
    with nobody_listens() as url, pytest.raises(errors.ApiUnreachable):
        ask(url, call_attempts=2)


def test_transient_failures_of_any_call_cost_no_answer(simulate: Simulate) -> None:
    """A 429, a 503, a broken connection: tried again, counted, and answered."""
    api = simulate(
        rules=(
            Rule(reply=Reply(429, {"message": "x", "code": "queue_exceeded"}), times=1),
            Rule(reply=Reply(503, {"message": "x"}), times=1),
            Rule(fault="close", times=1),
        )
    )
    solved = ask(api.url, **SMALL)
    assert solved.degraded == ()
    assert solved.ledger.total.calls == len(api.chat_calls) == 7


def test_a_call_is_tried_as_often_and_as_long_as_the_settings_say(simulate: Simulate) -> None:
    """Two tries of the plan, two of the direct answer after it; none waits longer for an API that does not answer."""
    api = simulate(rules=(Rule(fault="hang"),))
    with stalled_time(api) as time, pytest.raises(errors.ApiTimeout):
        ask(api.url, call_attempts=2, call_timeout=7.5, **SMALL)
    assert len(api.chat_calls) == 4
    assert time.now == 4 * 7.5


def test_time_runs_out_with_an_error_that_says_so(simulate: Simulate) -> None:
    """504, and no call is started after it."""
    api = simulate(rules=(Rule(fault="hang"),))
    with stalled_time(api) as time, pytest.raises(errors.DeadlineExceeded) as caught:
        ask(api.url, deadline=20.0, **SMALL)
    assert caught.value.status == 504
    assert time.now <= 20
    assert not api.in_flight


def test_what_a_call_takes_is_known_to_the_next_request(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five calls after each other would take longer than there is: one candidate is begun, which needs no rating."""
    api = simulate(rules=(Rule(latency=0.05, times=1), Rule()))
    ask(api.url, effort="none")
    (model,) = RUNTIME.shared.call_seconds
    assert RUNTIME.shared.call_seconds[model] >= 0.05
    monkeypatch.setitem(RUNTIME.shared.call_seconds, model, 100.0)
    solved = ask(api.url, deadline=485.0)
    assert re.fullmatch(r"1 of 3 candidates: the remaining \d+ s allow no more", solved.degraded[0])
    assert RUNTIME.shared.call_seconds[model] < 100.0  # by this request's calls
    assert ask(api.url).degraded == ()


def test_a_request_begins_no_more_than_the_known_limits_let_through_in_its_time(simulate: Simulate) -> None:
    """Five calls an hour, of which four are left, and ten minutes of time: nothing is begun that would be lost."""
    api = simulate(limits=RateLimits(requests_per_hour=5))
    ask(api.url, effort="none")
    solved = ask(api.url, deadline=600.0, bestofn_n=3, planning_n=1, planning_m=1)
    assert solved.degraded[0].startswith(
        "1 of 3 candidates: the API's rate limits allow no more calls in the remaining "
    )
    assert not [line for line in solved.degraded if "left out" in line]
    assert {call.status for call in api.chat_calls} == {200}


def test_what_was_spent_stands_in_the_error(simulate: Simulate) -> None:
    """As the API counts it, tokens of the replies before it included."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    api = simulate(rules=(Rule(times=1), Rule(reply=wrong)))
    with pytest.raises(errors.WrongKey) as caught:
        ask(api.url, **SMALL)
    usage = api.usage
    assert caught.value.spent == {
        "calls": 2,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }


def test_calls_in_flight_end_with_their_request(simulate: Simulate) -> None:
    """One of nine plans learns that the key is wrong: the other eight are given up, not waited for."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    api = simulate(rules=(Rule(reply=wrong, times=1, held=True), Rule(fault="hang")))
    once(lambda: api.in_flight == 9, api.release)
    with pytest.raises(errors.WrongKey):
        ask(api.url, rpm=6000)
    until(lambda: api.in_flight == 0, lambda: api.chat_calls)
    assert sorted(call.status or 0 for call in api.chat_calls) == [401] + [CLIENT_GONE] * 8


def idle(api: Simulator) -> bool:
    """Whether no call is open."""
    return api.in_flight == 0


def test_calls_that_are_just_being_sent_end_with_their_request(simulate: Simulate) -> None:
    """The wrong key shows while the other plans are on their way: no connection is left open in any of 20 requests."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    for turn in range(20):
        api, runtime = simulate(rules=(Rule(reply=wrong, times=1, latency=turn / 1000), Rule(fault="hang"))), Runtime()
        with pytest.raises(errors.WrongKey):
            solve(runtime, Question("?"), Settings(), runtime.client(api.url, KEY))
        until(partial(idle, api))
        runtime.reset()


def test_answers_of_any_length_are_compared(simulate: Simulate) -> None:
    """100 kB each, and formulas that would keep an algebra system busy for ever."""
    slow = r"The answer is \boxed{9^{9^{9^{9^{9}}}}}."
    texts = ("word " * 20_000 + "The answer is 7.", slow, "word " * 20_000 + "So we get 7.")
    api = simulate(rules=(Rule(text=texts),))
    settings: dict[str, Any] = {"planning_n": 1, "planning_m": 1, "bestofn_rating_type": "majority"}
    limits = {f"planning_max_tokens_step{step}": 50_000 for step in (1, 2, 3, 4)}
    assert ask(api.url, **settings, **limits).outcome.answer in texts


def test_threads_do_not_grow_with_the_load(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """24 requests at once: no more are planned at a time than the process has room for."""
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


def test_requests_that_wait_to_be_planned_go_by_age(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one at a time."""
    monkeypatch.setattr("optillm_cerebras_cepo.runtime.REQUESTS", 1)
    api, runtime, names = simulate(), Runtime(), ["first", "second", "third"]
    client = runtime.client(api.url, KEY)
    with ThreadPoolExecutor(len(names)) as callers, runtime.shared.planning.slot((0,), unlimited()):
        for number, name in enumerate(names, 1):
            callers.submit(solve, runtime, Question(f"The {name}?"), Settings(**SMALL), client)
            until(lambda: runtime.shared.planning.waiting == number)  # noqa: B023
    asked = [name for call in api.chat_calls for name in names if f"The {name}?" in str(call.body["messages"])]
    assert list(dict.fromkeys(asked)) == names
    runtime.reset()


def test_calls_of_all_requests_share_the_gate(simulate: Simulate) -> None:
    """Three requests at once, planned ones and a direct one: never more calls than the setting says."""
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


def test_direct_answers_do_not_wait_for_plans(simulate: Simulate) -> None:
    """With one place in the process, taken by a request of many calls, a direct answer is served next."""
    api, runtime = simulate(rules=(Rule(held=True),)), Runtime()
    client = runtime.client(api.url, KEY)
    gate = runtime.shared.limiters.limiter(None, client.address, "llama-3.3-70b", 1, {})
    with ThreadPoolExecutor(2) as callers, released_at_the_end(api):
        planned = callers.submit(solve, runtime, Question("A plan?"), Settings(), client)
        until(lambda: api.held == 1 and gate.waiting == 8)
        direct = callers.submit(solve, runtime, Question("Directly?"), Settings(effort="none"), client)
        until(lambda: gate.waiting == 9)
        with releasing(api):
            assert direct.result().outcome.answer
            assert planned.result().outcome.answer
    assert "Directly?" in str(api.chat_calls[1].body["messages"])
    runtime.reset()
