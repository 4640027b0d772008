"""Retries: the policy as pure functions, and the layer within its deadline."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Scripted, completion, in_turn
from support.virtual_time import VirtualTime

from optillm_cerebras_cepo import errors
from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import (
    ApiUnavailable,
    CepoError,
    DeadlineExceeded,
    RateLimited,
    RefusedCall,
    UnusableReply,
    WrongKey,
)
from optillm_cerebras_cepo.events import Waits
from optillm_cerebras_cepo.llm.retry import START_SECONDS, Retry, RetryPolicy, time_for, wait_before
from optillm_cerebras_cepo.quota import Allowance

AT_ONCE = RetryPolicy(attempts=4, first=0.0)


def within(seconds: float) -> ChatRequest:
    """A call of a request that has so much time."""
    return ChatRequest("m", (Message("user", "q"),), 10, Label(Step.PLAN), deadline=Deadline(seconds))


@given(st.integers(1, 40), st.floats(0, 1))
def test_waits_double_up_to_a_limit_with_the_upper_half_left_to_chance(attempt: int, chance: float) -> None:
    """Never longer than the limit, never shorter than half of the step."""
    policy = RetryPolicy(first=0.5, most=8.0)
    step = min(0.5 * 2 ** (attempt - 1), 8.0)
    assert step / 2 <= wait_before(attempt, None, policy, chance) <= step


def test_a_wait_that_the_api_asks_for_is_kept() -> None:
    """Even beyond our own limit: the API knows when its window refills. It never makes a wait of ours shorter."""
    assert wait_before(1, RateLimited("later", retry_after=42.0), RetryPolicy(), 0.5) == 42.0
    assert wait_before(3, RateLimited("later", retry_after=0.0), RetryPolicy(), 0.0) == 1.0


def test_where_the_apis_time_is_compressed_our_own_waits_are_too() -> None:
    """What the API asks for is in real seconds already."""
    policy = RetryPolicy(first=6.0, time_scale=60.0)
    assert wait_before(1, ApiUnavailable("busy"), policy, 1.0) == pytest.approx(0.1)
    assert wait_before(1, RateLimited("later", retry_after=0.5), policy, 1.0) == 0.5


def test_a_limit_that_the_gate_knows_is_waited_for_there() -> None:
    """The first time; a further refusal shows that the gate is wrong. Of an hour without a header it knows nothing."""
    hour = {"requests-hour": Allowance(150, 0)}
    known = [RateLimited("m", window="requests-minute"), RateLimited("h", window="requests-hour", quota=hour)]
    assert [wait_before(1, error, RetryPolicy(), 0.5) for error in known] == [0.0, 0.0]
    assert [wait_before(3, error, RetryPolicy(), 0.0) for error in known] == [0.5, 0.5]
    assert wait_before(1, RateLimited("h", window="requests-hour"), RetryPolicy(), 0.5) > 0


@pytest.mark.parametrize(
    "kind", [errors.ApiUnavailable, errors.ApiUnreachable, errors.ApiTimeout, errors.RateLimited, errors.UnusableReply]
)
def test_passing_failures_are_tried_again(kind: type[CepoError]) -> None:
    """408, 409, 425, 429, 5xx, connections, time-outs, and replies that are none."""
    api = Scripted(in_turn(kind("passing"), kind("passing"), completion("ok")))
    assert Retry(api, AT_ONCE).complete(within(60)).text == "ok"
    assert len(api.requests) == 3


@pytest.mark.parametrize(
    "kind", [errors.RefusedCall, errors.PromptTooLong, errors.WrongKey, errors.Forbidden, errors.ModelUnavailable]
)
def test_what_cannot_go_better_is_not_tried_again(kind: type[CepoError]) -> None:
    """400, 401, 403 and 404 would only be answered the same."""
    api = Scripted(in_turn(kind("final")))
    with pytest.raises(kind):
        Retry(api, AT_ONCE).complete(within(60))
    assert len(api.requests) == 1


def test_it_gives_up_after_its_attempts() -> None:
    """And raises what the last one met."""
    api = Scripted(in_turn(*[ApiUnavailable(str(number)) for number in range(4)]))
    with pytest.raises(ApiUnavailable, match="3"):
        Retry(api, AT_ONCE).complete(within(60))


def test_a_rate_limit_uses_up_no_attempt() -> None:
    """Ten refusals of a full API, and failures between them: the call is answered."""
    limited = [RateLimited("full") for _ in range(10)]
    api = Scripted(in_turn(ApiUnavailable("1"), *limited, ApiUnavailable("2"), *limited, completion("ok")))
    assert Retry(api, replace(AT_ONCE, attempts=3)).complete(within(60)).text == "ok"
    assert len(api.requests) == 23


def test_a_rate_limit_that_stays_ends_with_the_requests_time() -> None:
    """With what the API said, and waits that grew."""
    api, waits, clock = Scripted(lambda _: RateLimited("full")), list[float](), VirtualTime()

    def note(event: object) -> None:
        assert isinstance(event, Waits)
        waits.append(event.seconds)

    with pytest.raises(RateLimited, match="full"):
        Retry(api, RetryPolicy(attempts=1), note).complete(replace(within(60), deadline=clock.deadline(60)))
    assert len(api.requests) == len(waits) + 1 > 3
    assert waits[2] >= 1.0


def test_an_empty_reply_is_tried_again() -> None:
    """Nothing, blanks, or nothing after the thoughts; with another seed of the model's the text may come."""
    api = Scripted(in_turn(completion(""), completion(" \n"), completion("<think>hm</think>"), completion("ok")))
    assert Retry(api, AT_ONCE).complete(within(60)).text == "ok"


def test_a_reply_that_stays_empty_is_a_failure() -> None:
    """It is nobody's answer."""
    api = Scripted(lambda _: completion(""))
    with pytest.raises(UnusableReply, match="empty"):
        Retry(api, AT_ONCE).complete(within(60))
    assert len(api.requests) == 4


@pytest.mark.parametrize(
    "reply",
    [
        completion("", "length"),
        completion("", "content_filter"),
        Completion("m", "", "tool_calls", Usage(), tool_calls=({"id": "c1"},)),
    ],
)
def test_what_would_come_again_or_is_a_reply_is_not_tried_again(reply: Completion) -> None:
    """A cut is where the limit is, a filter acts on the same words, and a tool call needs no text."""
    assert Retry(Scripted(in_turn(reply)), AT_ONCE).complete(within(60)) is reply


def test_what_somebody_has_heard_is_not_begun_anew() -> None:
    """The thoughts of a streamed reply are with the client; the text that never came is told above."""
    thoughts = Completion("m", "", "stop", Usage(), reasoning="hm")
    streamed = replace(within(60), listener=lambda _: None)
    assert Retry(Scripted(in_turn(thoughts)), AT_ONCE).complete(streamed) is thoughts
    assert Retry(Scripted(in_turn(completion(""), completion("ok"))), AT_ONCE).complete(streamed).text == "ok"


@given(st.integers(1, 10**6), st.floats(0.1, 1e4), st.floats(0.1, 1e4))
def test_a_call_may_take_as_long_as_a_slow_reply_of_its_tokens(tokens: int, speed: float, most: float) -> None:
    """And no longer than any call may."""
    seconds = time_for(replace(within(60), max_tokens=tokens), RetryPolicy(timeout=most, min_tokens_per_second=speed))
    assert seconds == pytest.approx(most) or seconds == pytest.approx(START_SECONDS + tokens / speed)
    assert seconds <= most


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    """Waiting for an hour within a minute would only delay the answer that is possible without this call."""
    api = Scripted(in_turn(RateLimited("later", retry_after=3600)))
    with pytest.raises(RateLimited):
        Retry(api, AT_ONCE).complete(within(60))


def test_no_call_starts_after_the_deadline() -> None:
    """Not even the first try."""
    api = Scripted()
    with pytest.raises(DeadlineExceeded):
        Retry(api, AT_ONCE).complete(within(0))
    assert api.requests == []


def test_a_hopeless_error_ends_the_request_for_all_its_calls() -> None:
    """With a wrong key no other call of the request is made, and each says why."""
    request = within(60)
    part = replace(request, deadline=request.deadline.part())
    with pytest.raises(WrongKey):
        Retry(Scripted(in_turn(WrongKey("wrong"))), AT_ONCE).complete(part)
    other = Scripted()
    with pytest.raises(WrongKey):
        Retry(other, AT_ONCE).complete(request)
    assert other.requests == []


def test_a_refused_call_does_not_end_the_request() -> None:
    """Another call may suit the API."""
    request = within(60)
    with pytest.raises(RefusedCall):
        Retry(Scripted(in_turn(RefusedCall("no"))), AT_ONCE).complete(request)
    request.deadline.check()


def test_each_try_gets_its_time_within_the_deadline() -> None:
    """A try may take the policy's time-out, and never longer than the request has left."""
    api = Scripted()
    Retry(api, replace(AT_ONCE, timeout=7.0)).complete(within(60))
    Retry(api, replace(AT_ONCE, timeout=7.0)).complete(within(2))
    assert api.requests[0].timeout == 7.0
    assert api.requests[1].timeout is not None
    assert api.requests[1].timeout <= 2
