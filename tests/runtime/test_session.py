"""One request over real HTTP: its models, calls, errors and usage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEY
from support.asking import ask
from support.ports import nobody_listens
from support.solving import solve
from support.stalled_time import stalled_time

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import Parameters, Question, Step
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL: dict[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}


def test_rating_model_makes_the_ratings(simulate: Simulate) -> None:
    """OptiLLM's `rating_model`, in any spelling."""
    api = simulate()
    ask(api.url, bestofn_n=2, planning_n=1, planning_m=1, rating_model="gptoss-120b", rate_always=True)
    models = [call.body["model"] for call in api.chat_calls]
    assert (models.count("llama-3.3-70b"), models.count("gpt-oss-120b")) == (8, 2)


def test_another_family_rates(simulate: Simulate) -> None:
    """The first in the API's list whose name begins with other letters."""
    api = simulate(models=("llama3.1-8b", "llama-3.3-70b", "qwen-3.8-27b", "gpt-oss-120b"))
    solved = ask(api.url, bestofn_n=2, planning_n=1, planning_m=1, rating_model="auto", rate_always=True)
    models = [call.body["model"] for call in api.chat_calls]
    assert (models.count("llama-3.3-70b"), models.count("qwen-3.8-27b")) == (8, 2)
    assert (solved.model, solved.judge, solved.fitted) == ("llama-3.3-70b", "qwen-3.8-27b", ())


def test_without_another_family_the_model_rates_itself(simulate: Simulate) -> None:
    """And the answer says so."""
    api = simulate(models=("llama3.1-8b", "llama-3.3-70b"))
    solved = ask(api.url, bestofn_n=2, planning_n=1, planning_m=1, rating_model="auto", rate_always=True)
    assert {call.body["model"] for call in api.chat_calls} == {"llama-3.3-70b"}
    assert None not in solved.outcome.ratings
    assert [line.partition(":")[0] for line in solved.fitted] == ["rating_model"]


def test_ratings_left_out_by_a_rating_model_are_reported(simulate: Simulate) -> None:
    """Beside what the planning model left out."""
    api = simulate(rules=(Rule(model="gpt-oss-120b", text="I cannot tell."),))
    solved = ask(api.url, bestofn_n=2, planning_n=1, planning_m=1, rating_model="gpt-oss-120b", rate_always=True)
    assert sorted(solved.degraded) == [
        f"rating of candidate {number} left out: the judge's reply has none" for number in (1, 2)
    ]


@pytest.mark.parametrize("seed", [2**63 - 1, 2**63 - 500, -(2**63), 0])
def test_each_call_has_its_own_seed_of_64_bits(simulate: Simulate, seed: int) -> None:
    """Also near the ends of the range: the API refuses a larger seed."""
    api = simulate()
    question, client = Question("What is 6 times 7?"), RUNTIME.client(api.url, KEY)
    solve(RUNTIME, question, Settings(), client, parameters=Parameters(seed=seed))
    seeds = [call.body["seed"] for call in api.chat_calls]
    assert all(-(2**63) <= one < 2**63 for one in seeds)
    plans = [
        call.body["seed"] for call in api.chat_calls if call.body["temperature"] == Settings().limits(Step.PLAN)[0]
    ]
    assert len(set(plans)) == len(plans) == 9


def test_reported_usage_equals_the_usage_at_the_api(simulate: Simulate) -> None:
    """By the API's own count, over all calls of a default request."""
    api = simulate()
    total = ask(api.url).ledger.total
    assert total.calls == len(api.chat_calls) == 24
    assert (total.prompt_tokens, total.completion_tokens) == (api.usage.prompt_tokens, api.usage.completion_tokens)


def test_wrong_key_makes_no_call(simulate: Simulate) -> None:
    """The list of models needs the key too."""
    api = simulate(keys=("csk-another",))
    with pytest.raises(errors.WrongKey):
        ask(api.url)
    assert api.chat_calls == ()


def test_key_revoked_during_a_request_ends_it(simulate: Simulate) -> None:
    """Of 27 calls, at most those that had started together are made."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    api = simulate(rules=(Rule(reply=wrong),))
    with pytest.raises(errors.WrongKey):
        ask(api.url)
    assert len(api.chat_calls) <= 9


def test_unreachable_api_is_reported() -> None:
    """After the last try."""
    with nobody_listens() as url, pytest.raises(errors.ApiUnreachable):
        ask(url, call_attempts=2)


def test_transient_failures_cost_no_answer(simulate: Simulate) -> None:
    """A 429, a 503 and a broken connection are retried, counted and answered."""
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


def test_call_attempts_and_call_timeout_are_obeyed(simulate: Simulate) -> None:
    """Two tries of the plan, each as long as `call_timeout`. After these a direct answer is tried once."""
    api = simulate(rules=(Rule(fault="hang"),))
    with stalled_time(api) as time, pytest.raises(errors.ApiTimeout):
        ask(api.url, call_attempts=2, call_timeout=7.5, **SMALL)
    assert len(api.chat_calls) == 3
    assert time.now == 3 * 7.5


def test_deadline_is_reported_as_504(simulate: Simulate) -> None:
    """No call is started after it."""
    api = simulate(rules=(Rule(fault="hang"),))
    with stalled_time(api) as time, pytest.raises(errors.DeadlineExceeded) as caught:
        ask(api.url, deadline=20.0, **SMALL)
    assert caught.value.status == 504
    assert time.now <= 20
    assert not api.in_flight


def test_error_contains_what_was_spent(simulate: Simulate) -> None:
    """As the API counts it, including the tokens of earlier replies."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    api = simulate(rules=(Rule(times=1), Rule(reply=wrong)))
    with pytest.raises(errors.WrongKey) as caught:
        ask(api.url, **SMALL)
    usage = api.usage
    assert caught.value.spent.keys() >= {"cost"}
    assert {name: count for name, count in caught.value.spent.items() if name != "cost"} == {
        "calls": 2,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }


def test_answers_of_any_length_are_compared(simulate: Simulate) -> None:
    """100 kB each, and formulas that would keep an algebra system busy for ever."""
    slow = r"The answer is \boxed{9^{9^{9^{9^{9}}}}}."
    texts = ("word " * 20_000 + "The answer is 7.", slow, "word " * 20_000 + "So we get 7.")
    api = simulate(rules=(Rule(text=texts),))
    settings: dict[str, Any] = {"planning_n": 1, "planning_m": 1, "bestofn_rating_type": "majority"}
    limits: dict[str, Any] = {f"planning_max_tokens_step{step}": 50_000 for step in (1, 2, 3, 4)}
    assert ask(api.url, **settings, **limits).outcome.answer in texts
