"""A late call over real HTTP: a second one answers, and the first is cancelled at the API."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import KEY
from pytest_mock import MockerFixture
from support.quiet import quiet
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.llm import hedging
from optillm_cerebras_cepo.llm.hedging import KNOWN, HedgePolicy
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator import CLIENT_GONE, Rule, Simulator

HELD = Rule(pattern="held", times=1, held=True)


@pytest.fixture(autouse=True)
def _known_soon(monkeypatch: pytest.MonkeyPatch, _no_hedged_calls: None) -> None:
    monkeypatch.setattr(hedging, "KNOWN", KNOWN)


def direct(api: Simulator, text: str, hedged_calls: bool = True) -> RequestResult:
    """Answer directly; the rate limits leave room for any second call."""
    settings = Settings(effort="none", rpm=1_000_000, hedged_calls=hedged_calls)
    return solve(RUNTIME, Question(text), settings, RUNTIME.client(api.url, KEY))


def test_a_second_call_answers(simulate: Callable[..., Simulator]) -> None:
    """Both are counted. The calls before have shown how long one takes."""
    api = simulate(rules=(HELD,))
    for number in range(KNOWN):
        direct(api, f"question {number}")
    result = direct(api, "this one is held")
    assert (result.ledger.total.calls, result.ledger.total.hedged) == (2, 1)
    assert sorted(status or 0 for status in quiet(api)[KNOWN:]) == [200, CLIENT_GONE]
    assert result.degraded == ()


@pytest.mark.parametrize("hedged_calls", [True, False])
def test_without_the_setting_no_call_is_late(
    simulate: Callable[..., Simulator], mocker: MockerFixture, hedged_calls: bool
) -> None:
    """However long it takes: nobody asks."""
    asked = mocker.spy(HedgePolicy, "late_after")
    direct(simulate(), "a question", hedged_calls=hedged_calls)
    assert asked.call_count == hedged_calls
