"""Retries: the pure policy, and the layer within its deadline."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Scripted, completion, in_turn
from support.virtual_time import VirtualTime

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import (
    ApiUnavailable,
    CepoError,
    DeadlineExceeded,
    RateLimited,
    RefusedCall,
    UnusableReply,
    WrongKey,
)
from optillm_cerebras_cepo.core.events import CallDelayed
from optillm_cerebras_cepo.core.rate_limit_headers import Allowance
from optillm_cerebras_cepo.llm.retry import START_SECONDS, Retry, RetryPolicy, attempt_timeout, wait_before

AT_ONCE = RetryPolicy(attempts=4, first_wait=0.0)
OUTAGES = (errors.ApiUnavailable, errors.ApiUnreachable, errors.ApiTimeout)


def within(seconds: float) -> ChatRequest:
    """A call of a request that has so much time."""
    return ChatRequest("m", (Message("user", "q"),), 10, Label(Step.PLAN), deadline=Deadline(seconds))


@given(st.integers(1, 40), st.floats(0, 1))
def test_waits_double_up_to_a_limit_with_jitter(attempt: int, chance: float) -> None:
    """Never above the limit, and never below half of the step."""
    policy = RetryPolicy(first_wait=0.5, max_wait=8.0)
    step = min(0.5 * 2 ** (attempt - 1), 8.0)
    assert step / 2 <= wait_before(attempt, None, policy, chance) <= step


def test_retry_after_is_kept() -> None:
    """Also above our own limit. It never shortens our own wait."""
    assert wait_before(1, RateLimited("later", retry_after=42.0), RetryPolicy(), 0.5) == 42.0
    assert wait_before(3, RateLimited("later", retry_after=0.0), RetryPolicy(), 0.0) == 1.0


def test_own_waits_are_shorter_in_compressed_time() -> None:
    """`Retry-After` is in real seconds already."""
    policy = RetryPolicy(first_wait=6.0, time_scale=60.0)
    assert wait_before(1, ApiUnavailable("busy"), policy, 1.0) == pytest.approx(0.1)
    assert wait_before(1, RateLimited("later", retry_after=0.5), policy, 1.0) == 0.5


def test_first_wait_for_a_known_limit_is_the_limiters() -> None:
    """After a further refusal the limiter is wrong. An hour's limit without a header is unknown to it."""
    hour = {"requests-hour": Allowance(150, 0)}
    known = [RateLimited("m", window="requests-minute"), RateLimited("h", window="requests-hour", quota=hour)]
    assert [wait_before(1, error, RetryPolicy(), 0.5) for error in known] == [0.0, 0.0]
    assert [wait_before(3, error, RetryPolicy(), 0.0) for error in known] == [0.5, 0.5]
    assert wait_before(1, RateLimited("h", window="requests-hour"), RetryPolicy(), 0.5) > 0


@pytest.mark.parametrize(
    "kind", [errors.ApiUnavailable, errors.ApiUnreachable, errors.ApiTimeout, errors.RateLimited, errors.UnusableReply]
)
def test_transient_failures_are_retried(kind: type[CepoError]) -> None:
    """408, 409, 425, 429, 5xx, connections, time-outs, and unusable replies."""
    api = Scripted(in_turn(kind("passing"), kind("passing"), completion("ok")))
    assert Retry(api, AT_ONCE).complete(within(60)).text == "ok"
    assert len(api.requests) == 3


@pytest.mark.parametrize(
    "kind", [errors.RefusedCall, errors.PromptTooLong, errors.WrongKey, errors.Forbidden, errors.ModelUnavailable]
)
def test_permanent_failures_are_not_retried(kind: type[CepoError]) -> None:
    """400, 401, 403 and 404 would be answered in the same way."""
    api = Scripted(in_turn(kind("final")))
    with pytest.raises(kind):
        Retry(api, AT_ONCE).complete(within(60))
    assert len(api.requests) == 1


def test_retries_end_after_the_attempts() -> None:
    """And raise the last error."""
    api = Scripted(in_turn(*[ApiUnavailable(str(number)) for number in range(4)]))
    with pytest.raises(ApiUnavailable, match="3"):
        Retry(api, AT_ONCE).complete(within(60))


def test_rate_limits_use_no_attempt() -> None:
    """After ten refusals for capacity, with failures between them, the call succeeds."""
    limited = [RateLimited("full") for _ in range(10)]
    api = Scripted(in_turn(ApiUnavailable("1"), *limited, ApiUnavailable("2"), *limited, completion("ok")))
    assert Retry(api, replace(AT_ONCE, attempts=3)).complete(within(60)).text == "ok"
    assert len(api.requests) == 23


def test_lasting_rate_limit_ends_with_the_deadline() -> None:
    """With the API's error, after growing waits."""
    api, waits, clock = Scripted(lambda _: RateLimited("full")), list[float](), VirtualTime()

    def note(event: object) -> None:
        assert isinstance(event, CallDelayed)
        waits.append(event.seconds)

    with pytest.raises(RateLimited, match="full"):
        Retry(api, RetryPolicy(attempts=1), note).complete(replace(within(60), deadline=clock.deadline(60)))
    assert len(api.requests) == len(waits) + 1 > 3
    assert waits[2] >= 1.0


def test_empty_reply_is_retried() -> None:
    """Nothing, blanks, or nothing after the reasoning: another sample may have a text."""
    api = Scripted(in_turn(completion(""), completion(" \n"), completion("<think>hm</think>"), completion("ok")))
    assert Retry(api, AT_ONCE).complete(within(60)).text == "ok"


def test_reply_that_stays_empty_is_an_error() -> None:
    """It is not an answer."""
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
def test_cut_filtered_and_tool_replies_are_not_retried(reply: Completion) -> None:
    """The first two would be the same again, and a tool call needs no text."""
    assert Retry(Scripted(in_turn(reply)), AT_ONCE).complete(within(60)) is reply


def test_streamed_reasoning_is_not_requested_again() -> None:
    """The client has it already; a missing text is handled above."""
    thoughts = Completion("m", "", "stop", Usage(), reasoning="hm")
    streamed = replace(within(60), listener=lambda _: None)
    assert Retry(Scripted(in_turn(thoughts)), AT_ONCE).complete(streamed) is thoughts
    assert Retry(Scripted(in_turn(completion(""), completion("ok"))), AT_ONCE).complete(streamed).text == "ok"


@given(st.integers(1, 10**6), st.floats(0.1, 1e4), st.floats(0.1, 1e4))
def test_timeout_fits_a_slow_reply_with_all_tokens(tokens: int, speed: float, most: float) -> None:
    """And is never longer than the policy's time-out."""
    seconds = attempt_timeout(
        replace(within(60), max_tokens=tokens), RetryPolicy(timeout=most, min_tokens_per_second=speed)
    )
    assert seconds == pytest.approx(most) or seconds == pytest.approx(START_SECONDS + tokens / speed)
    assert seconds <= most


def test_wait_beyond_the_deadline_is_not_started() -> None:
    """It would only delay the answer that is possible without this call."""
    api = Scripted(in_turn(RateLimited("later", retry_after=3600)))
    with pytest.raises(RateLimited):
        Retry(api, AT_ONCE).complete(within(60))


def test_no_call_starts_after_the_deadline() -> None:
    """Not even the first attempt."""
    api = Scripted()
    with pytest.raises(DeadlineExceeded):
        Retry(api, AT_ONCE).complete(within(0))
    assert api.requests == []


def test_permanent_error_ends_all_calls_of_the_request() -> None:
    """With a wrong key no other call is made, and each has the same error."""
    request = within(60)
    part = replace(request, deadline=request.deadline.part())
    with pytest.raises(WrongKey):
        Retry(Scripted(in_turn(WrongKey("wrong"))), AT_ONCE).complete(part)
    other = Scripted()
    with pytest.raises(WrongKey):
        Retry(other, AT_ONCE).complete(request)
    assert other.requests == []


def test_refused_call_does_not_end_the_request() -> None:
    """The API may accept another call."""
    request = within(60)
    with pytest.raises(RefusedCall):
        Retry(Scripted(in_turn(RefusedCall("no"))), AT_ONCE).complete(request)
    request.deadline.check()


def test_each_attempt_has_a_timeout_within_the_deadline() -> None:
    """The policy's time-out, but not more than the remaining time."""
    api = Scripted()
    Retry(api, replace(AT_ONCE, timeout=7.0)).complete(within(60))
    Retry(api, replace(AT_ONCE, timeout=7.0)).complete(within(2))
    assert api.requests[0].timeout == 7.0
    assert api.requests[1].timeout is not None
    assert api.requests[1].timeout <= 2


@pytest.mark.parametrize("kind", OUTAGES)
def test_after_a_call_without_any_answer_each_is_tried_once(kind: type[CepoError]) -> None:
    """Until one is answered: then calls are retried again."""
    calls = Scripted(
        in_turn(*(kind("down") for _ in range(4)), kind("down"), completion("up"), kind("busy"), completion("up"))
    )
    retry = Retry(calls, AT_ONCE)
    with pytest.raises(kind):
        retry.complete(within(60))
    assert len(calls.requests) == 4
    with pytest.raises(kind):
        retry.complete(within(60))
    assert len(calls.requests) == 5
    for expected in (6, 8):
        assert retry.complete(within(60)).text == "up"
        assert len(calls.requests) == expected


@pytest.mark.parametrize("kind", [errors.RateLimited, errors.UnusableReply])
def test_other_failures_say_nothing_of_other_calls(kind: type[CepoError]) -> None:
    """A limit passes, and an empty reply is that prompt's."""
    calls = Scripted(in_turn(*(errors.UnusableReply("empty") for _ in range(4)), kind("again"), completion("up")))
    retry = Retry(calls, AT_ONCE)
    with pytest.raises(errors.UnusableReply):
        retry.complete(within(60))
    assert retry.complete(within(60)).text == "up"


def test_an_outage_of_one_model_is_not_anothers() -> None:
    """The judge's, for example."""
    calls = Scripted(in_turn(*(ApiUnavailable("down") for _ in range(5)), completion("up")))
    retry = Retry(calls, AT_ONCE)
    with pytest.raises(ApiUnavailable):
        retry.complete(within(60))
    assert retry.complete(replace(within(60), model="other")).text == "up"


def test_a_call_that_fails_alone_is_no_outage() -> None:
    """Another one is under way that has not failed: it may take longer than all tries of the one that fails."""
    began, answered = threading.Event(), threading.Event()

    def answer(request: ChatRequest) -> Completion | Exception:
        if request.label.step is Step.PLAN:
            began.set()
            assert answered.wait(60)
            return completion("slow")
        return ApiUnavailable("this prompt") if len(calls.requests) < 8 else completion("up")

    calls = Scripted(answer)
    retry = Retry(calls, AT_ONCE)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(retry.complete, within(60))
        assert began.wait(60)
        with pytest.raises(ApiUnavailable):
            retry.complete(replace(within(60), label=Label(Step.REVIEW)))
        assert retry.complete(replace(within(60), label=Label(Step.FINAL))).text == "up"
        answered.set()
        assert slow.result().text == "slow"
    assert len(calls.requests) == 8


def test_a_refused_call_is_no_outage() -> None:
    """The API has answered it, whatever other attempts met before: the next call is retried."""
    busy = [ApiUnavailable("busy")] * 3
    retry = Retry(
        Scripted(in_turn(*busy, RefusedCall("no"), *busy, RefusedCall("no"), *busy, completion("up"))), AT_ONCE
    )
    for _ in range(2):
        with pytest.raises(RefusedCall):
            retry.complete(within(60))
    assert retry.complete(within(60)).text == "up"
