"""A request makes a bounded number of calls a second, whatever the API answers. In virtual time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Scripted, completion
from support.virtual_time import VirtualTime

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, Step
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import ignore
from optillm_cerebras_cepo.core.rate_limit_headers import WINDOWS, Allowance
from optillm_cerebras_cepo.llm.context_window import ContextWindows, TokenEstimates
from optillm_cerebras_cepo.llm.hedging import HedgePolicy
from optillm_cerebras_cepo.llm.metering import Ledger, ReplyLengths
from optillm_cerebras_cepo.llm.rate_limits.limiter import LocalLimitStore, RateLimiter
from optillm_cerebras_cepo.llm.rate_limits.limits import initial_limits
from optillm_cerebras_cepo.llm.retry import RetryPolicy
from optillm_cerebras_cepo.llm.stack import ModelKnowledge, RequestLayers, stack
from optillm_cerebras_cepo.llm.unsupported_params import UnsupportedParams

FIVE_SECONDS = 10  # calls at most: waits of 0.25, 0.5, 1 and 2 s at the least, of two kinds, and one that is free
ROUNDS = 8  # a call is another one when a field is clamped or dropped, or it is fitted into the context
LATER = 4.0  # seconds at the least between two tries of a call that has waited for long

seconds = st.one_of(st.sampled_from([0.0, 0.001, 1e-9, 0.5, 3600.0]), st.floats(0, 10))
quotas = st.dictionaries(
    st.sampled_from(WINDOWS),
    st.builds(Allowance, st.floats(1, 1e9), st.floats(0, 1e9)).map(
        lambda seen: Allowance(seen.limit, min(seen.remaining, seen.limit))
    ),
    max_size=3,
)
refusals = st.builds(
    errors.RateLimited,
    st.just("limited"),
    retry_after=st.one_of(st.none(), seconds),
    window=st.sampled_from(["", *WINDOWS]),
    quota=quotas,
)
others = st.one_of(
    st.builds(errors.ApiUnavailable, st.just("busy"), retry_after=st.one_of(st.none(), seconds)),
    st.builds(errors.ApiUnreachable, st.just("gone")),
    st.builds(errors.ApiTimeout, st.just("slow")),
    st.just(completion("")),
    st.just(completion("cut", "length")),
)
changing = st.one_of(
    st.builds(
        errors.RefusedCall,
        st.just("no"),
        api_text=st.sampled_from(["top_p: must be at most 0.1", "'seed' is unsupported", "temperature: at most 0.1"]),
    ),
    st.builds(errors.PromptTooLong, st.just("long"), limit=st.one_of(st.none(), st.integers(1, 10_000))),
)
passing = st.tuples(st.one_of(refusals, refusals, others), seconds)
any_answer = st.tuples(st.one_of(refusals, others, changing), seconds)


def calls_of(answers: list[tuple[Any, float]], within: float) -> list[float]:
    """When the tries of one call go out, in seconds. The API answers these in turn, and the last one for ever."""
    clock, went = VirtualTime(), list[float]()

    def answer(_: ChatRequest) -> Completion | Exception:
        said, delay = answers[min(len(went), len(answers) - 1)]
        went.append(clock())
        assert len(went) < 1000, f"still trying, after {clock()} s"
        clock.now += min(delay, 20.0)
        return said if isinstance(said, Completion) else type(said)(*said.args, **_named(said))

    limiter = RateLimiter(LocalLimitStore(lambda now: initial_limits({}, now), clock), 4)
    client = stack(
        Scripted(answer),
        ModelKnowledge(UnsupportedParams(), ContextWindows(), TokenEstimates(), ReplyLengths(), HedgePolicy()),
        RequestLayers(RetryPolicy(), lambda _: limiter, 0, Ledger(), ignore),
    )
    call = ChatRequest(
        "m",
        (Message("user", "q"),),
        10,
        Label(Step.PLAN),
        temperature=0.5,
        options={"top_p": 1.0, "seed": 1},
        deadline=clock.deadline(within),
    )
    with suppress(CepoError):
        client.complete(call)
    return went


def _named(error: CepoError) -> dict[str, Any]:
    """What the error was made with beside its message."""
    names = ("retry_after", "window", "quota", "api_text", "limit")
    return {name: vars(error)[name] for name in names if name in vars(error) and vars(error)[name] is not None}


@given(st.lists(passing, min_size=1, max_size=30), st.floats(1, 120))
def test_attempts_have_a_bounded_rate(answers: list[tuple[Any, float]], within: float) -> None:
    """About ten in the first five seconds, then one every few seconds."""
    went = calls_of(answers, within)
    assert len([at for at in went if at < 5.0]) <= FIVE_SECONDS
    assert len(went) <= FIVE_SECONDS + within / LATER


@given(st.lists(any_answer, min_size=1, max_size=60), st.floats(1, 120))
def test_changed_calls_have_a_bounded_rate(answers: list[tuple[Any, float]], within: float) -> None:
    """Each change starts anew, and there are only as many changes as fields."""
    went = calls_of(answers, within)
    assert len([at for at in went if at < 5.0]) <= FIVE_SECONDS * ROUNDS
    assert len(went) <= FIVE_SECONDS * ROUNDS + within / LATER


@pytest.mark.parametrize("after", [0.0, 0.001])
@pytest.mark.parametrize("kind", [errors.RateLimited, errors.ApiUnavailable])
def test_retry_after_zero_does_not_make_calls_without_end(kind: Callable[..., CepoError], after: float) -> None:
    """For five seconds of `Retry-After: 0`; it was 4,000 calls once."""
    went = calls_of([(kind("later", retry_after=after), 0.0)], 5.0)
    assert 2 <= len(went) <= FIVE_SECONDS


def test_refusal_that_contradicts_its_headers_is_waited_for() -> None:
    """A 429 for the requests a minute with a thousand remaining: the limiter admits, and the call waits."""
    room = {"requests-minute": Allowance(1000, 1000)}
    went = calls_of([(errors.RateLimited("no", window="requests-minute", quota=room), 0.0)], 60.0)
    assert 5 <= len(went) <= FIVE_SECONDS + 60 / LATER


def test_wait_that_the_clock_rounds_away_is_none() -> None:
    """The bucket lacks less than the clock can show; the call tried again without end."""
    went = calls_of([(errors.RateLimited("no", window="requests-minute"), 5.1998956219246875)], 86.13117859220182)
    assert len(went) == 2


def test_longer_retry_after_is_waited_for() -> None:
    """The API knows when its window is refilled."""
    went = calls_of([(errors.RateLimited("no", retry_after=30.0), 0.0)], 100.0)
    assert went == [0.0, 30.0, 60.0, 90.0]
