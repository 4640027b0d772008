"""Service tiers and cache keys: sent to accounts that have them, left out for all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEY
from pydantic import ValidationError
from support.asking import ask
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Message, Parameters, PassthroughRequest, Question, RawMessage
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.settings.declaration import SERVICE_TIERS, Settings
from optillm_cerebras_cepo.simulator import RateLimits, Rule, Simulator

Simulate = Callable[..., Simulator]
ONE: dict[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}
KEY_FIELD = "prompt_cache_key"


def keys(api: Simulator) -> set[str | None]:
    """Return the cache keys of all calls."""
    return {call.body.get(KEY_FIELD) for call in api.chat_calls}


def test_by_default_no_call_names_a_tier(simulate: Simulate) -> None:
    """Most accounts have none."""
    api = simulate()
    ask(api.url, **ONE)
    assert not [call for call in api.chat_calls if "service_tier" in call.body or "queue_threshold" in call.headers]


@pytest.mark.parametrize("tier", SERVICE_TIERS)
def test_each_tier_is_sent(simulate: Simulate, tier: str) -> None:
    """With every call; only calls that may be queued say how long."""
    api = simulate()
    ask(api.url, service_tier=tier, queue_threshold=500, **ONE)
    assert {call.body["service_tier"] for call in api.chat_calls} == {tier}
    expected = "500" if tier in ("auto", "flex") else None
    assert {call.headers.get("queue_threshold") for call in api.chat_calls} == {expected}


def test_ratings_alone_may_be_queued(simulate: Simulate) -> None:
    """The steps that write an answer keep the usual tier."""
    api = simulate(rules=(Rule(text="The answer is 42. Rating: [[5]]"),))
    ask(api.url, service_tier="rating=flex", rate_always=True, **ONE | {"bestofn_n": 2})
    tiers = [call.body.get("service_tier") for call in api.chat_calls]
    assert (tiers.count("flex"), tiers.count(None)) == (2, 8)
    assert {call.tier for call in api.chat_calls} == {"flex", "default"}


def test_an_account_without_tiers_still_gets_answers(simulate: Simulate) -> None:
    """The refusal is learned, and told."""
    api = simulate(unsupported=("service_tier",))
    solved = ask(api.url, service_tier="flex", **ONE)
    assert [call.status for call in api.chat_calls] == [400, 200, 200, 200, 200]
    assert solved.fitted == ("plan: service_tier dropped", "execute: service_tier dropped", *solved.fitted[2:])


def test_calls_of_flex_do_not_wait_for_the_limits_of_others(simulate: Simulate) -> None:
    """The limits of that tier are apart: the default's are used up, and nothing waits."""
    api = simulate(limits=RateLimits(requests_per_day=5))
    client = RUNTIME.client(api.url, KEY)
    solve(RUNTIME, Question("What is 6 times 7?"), Settings(**ONE), client)
    solve(RUNTIME, Question("What is 6 times 7?"), Settings(service_tier="flex", **ONE), client)
    assert [call.status for call in api.chat_calls] == [200] * 8


@pytest.mark.parametrize("value", ["gold", "rating=gold", "ratings=flex"])
def test_other_tiers_are_refused(value: str) -> None:
    """With what may stand there."""
    with pytest.raises(ValidationError, match="service_tier"):
        Settings(service_tier=value)


def test_all_calls_of_a_conversation_have_one_cache_key(simulate: Simulate) -> None:
    """Later turns too, because they begin alike; another conversation has another key. No key has a text in it."""
    api = simulate()
    client, settings = RUNTIME.client(api.url, KEY), Settings(**ONE)
    first = Question("What is 6 times 7?", "Be exact.")
    later = Question("And 7 times 8?", "Be exact.", (Message("user", first.text), Message("assistant", "42")))
    for question in (first, later):
        solve(RUNTIME, question, settings, client)
    (key,) = keys(api)
    assert key
    assert len(key) == 32
    solve(RUNTIME, Question("What is 6 times 7?", "Be brief."), settings, client)
    assert len(keys(api)) == 2


def test_a_conversation_that_is_passed_through_has_a_cache_key(simulate: Simulate) -> None:
    """That of its first turns."""
    api = simulate()
    turns = [{"role": "system", "content": "Be exact."}, {"role": "user", "content": "Hello"}]
    turns += [{"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "6 times 7?"}]
    for end in (2, 4):
        passed = PassthroughRequest("images", tuple(map(RawMessage, turns[:end])))
        solve(RUNTIME, Question("", passthrough=passed), Settings(), RUNTIME.client(api.url, KEY))
    assert len(keys(api) - {None}) == 1


def test_the_clients_own_cache_key_is_kept(simulate: Simulate) -> None:
    """It knows better what it will ask next. The setting is about our own keys."""
    api = simulate()
    client, question = RUNTIME.client(api.url, KEY), Question("What is 6 times 7?")
    solve(RUNTIME, question, Settings(**ONE), client, parameters=Parameters(prompt_cache_key="mine"))
    assert keys(api) == {"mine"}


def test_without_the_setting_no_call_has_a_cache_key(simulate: Simulate) -> None:
    """As for an API that refuses every field that it does not know."""
    api = simulate()
    ask(api.url, cache_keys=False, **ONE)
    assert keys(api) == {None}


def test_a_refused_cache_key_is_left_out_from_then_on(simulate: Simulate) -> None:
    """The client did not ask for it, and is not told."""
    api = simulate(unsupported=(KEY_FIELD,))
    solved = [ask(api.url, **ONE) for _ in range(2)]
    assert [call.status for call in api.chat_calls] == [400] + [200] * 8
    assert [one.fitted for one in solved] == [(), ()]
