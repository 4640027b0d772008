"""Second calls: which reply counts, what is counted, and when there is none."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from support.once import once
from support.scripted import completion
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.core.budget import Budget
from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, Step
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import (
    ApiTimeout,
    ApiUnavailable,
    CepoError,
    DeadlineExceeded,
    Ended,
    OutOfTime,
    RateLimited,
    RefusedCall,
    Superseded,
)
from optillm_cerebras_cepo.core.events import CallFinished, CallHedged, Event
from optillm_cerebras_cepo.llm import hedging
from optillm_cerebras_cepo.llm.context_window import TokenEstimates
from optillm_cerebras_cepo.llm.hedging import KNOWN, PAUSE, HedgePolicy, Hedging
from optillm_cerebras_cepo.llm.metering import CallReporter, Ledger, UsageMeter
from optillm_cerebras_cepo.llm.rate_limits.limiter import SPARE_ROOM, LocalLimitStore, RateLimitedClient, RateLimiter
from optillm_cerebras_cepo.llm.rate_limits.limits import Cost, initial_limits

PLAN = Label(Step.PLAN, 1)
PLENTY = {"requests-minute": 1e6}
CALL = ChatRequest("m", (Message("user", "q"),), 100, PLAN)


@pytest.fixture(autouse=True)
def _hedged_calls(monkeypatch: pytest.MonkeyPatch, _no_hedged_calls: None) -> None:
    monkeypatch.setattr(hedging, "KNOWN", KNOWN)


class Api:
    """Each call is late until it is told what to answer: by its number, from 1."""

    def __init__(self, **answers: Completion | CepoError) -> None:
        self.answers = answers
        self.calls: list[ChatRequest] = []
        self.ended: list[CepoError] = []
        self._lock = threading.Lock()
        self._changed = threading.Condition()

    def complete(self, request: ChatRequest) -> Completion:
        """Let the caller know that the call is late, and wait for its answer or its end."""
        with self._lock:
            self.calls.append(request)
            number = f"call{len(self.calls)}"
        cancelled: list[CepoError] = []

        def cancel(reason: CepoError) -> None:
            cancelled.append(reason)
            self._notify()

        if request.when_late:
            request.when_late.act(cancel)
        with request.deadline.on_end(self._notify), self._changed:
            assert self._changed.wait_for(lambda: number in self.answers or ended(request) or cancelled, PATIENCE)
        try:
            request.deadline.check()
            if cancelled:
                raise cancelled[0]
        except CepoError as error:
            self.ended.append(error)
            raise
        answer = self.answers[number]
        if isinstance(answer, CepoError):
            raise answer
        return answer

    def answer(self, number: int, answer: Completion | CepoError) -> None:
        """Answer this call."""
        self.answers[f"call{number}"] = answer
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


def ended(request: ChatRequest) -> bool:
    """Return whether the call's deadline has ended."""
    try:
        request.deadline.check()
    except CepoError:
        return True
    return False


class Hedged:
    """The layer over such an API, with a policy that knows how long calls take."""

    def __init__(self, api: Api, limits: dict[str, float] | None = None) -> None:
        self.ledger, self.events, self.policy = Ledger(), list[Event](), HedgePolicy()
        self.limiter = RateLimiter(LocalLimitStore(lambda now: initial_limits(PLENTY | (limits or {}), now)), 64)
        metered = UsageMeter(CallReporter(api, self.events.append, None), self.ledger)
        second = RateLimitedClient(metered, lambda _: self.limiter, TokenEstimates(), 0, self.events.append)
        self.client = Hedging(metered, second, self.policy, self.ledger, self.events.append)
        for _ in range(KNOWN):
            self.policy.on_reply("m", PLAN, 0.2)
        for _ in range(10):
            self.policy.on_call()

    def ask(self, request: ChatRequest = CALL) -> Completion:
        """Make a call."""
        return self.client.complete(replace(request, deadline=request.deadline.part()))

    @property
    def second_calls(self) -> int:
        """How many were noted in the ledger, and told to the observer."""
        assert self.ledger.total.hedged == sum(isinstance(event, CallHedged) for event in self.events)
        return self.ledger.total.hedged


def test_the_first_of_two_replies_counts() -> None:
    """The other call is cancelled, and both are counted."""
    api = Api(call2=completion("second"))
    it = Hedged(api)
    assert it.ask().text == "second"
    assert [type(error) for error in api.ended] == [Superseded]
    assert (it.ledger.total.calls, it.second_calls) == (2, 1)
    finished = [event for event in it.events if isinstance(event, CallFinished)]
    assert sorted(type(event.error).__name__ for event in finished) == ["NoneType", "Superseded"]


def test_a_second_call_is_cancelled_when_the_first_is_answered() -> None:
    """Nothing runs on, and all that was begun is counted."""
    api = Api()
    it = Hedged(api)
    once(lambda: len(api.calls) == 2, lambda: api.answer(1, FIRST))
    assert it.ask() is FIRST
    assert [type(error) for error in api.ended] == [Superseded]
    assert (it.ledger.total.calls, it.second_calls) == (2, 1)
    assert not [thread for thread in threading.enumerate() if thread.name == "cepo-cerebras-second-call"]


FIRST = completion("first")


@pytest.mark.parametrize("failed", [1, 2])
def test_one_of_two_may_fail(failed: int) -> None:
    """The other one answers, however much later."""
    api = Api(**{f"call{failed}": ApiTimeout("slow")})
    it = Hedged(api)
    other = 3 - failed
    once(lambda: len(api.calls) == 2, lambda: api.answer(other, FIRST))
    assert it.ask() == FIRST


def test_if_both_fail_the_first_calls_error_is_told() -> None:
    """The layers above read it."""
    api = Api(call2=ApiTimeout("slow"))
    it = Hedged(api)
    once(lambda: len(api.calls) == 2, lambda: api.answer(1, ApiUnavailable("down")))
    with pytest.raises(ApiUnavailable, match="down"):
        it.ask()
    assert it.ledger.total.calls == 2


def test_a_second_call_that_was_not_sent_is_not_counted() -> None:
    """It failed on this side of the network."""
    unsent = ApiTimeout("slow")
    unsent.sent = False
    api = Api(call2=unsent)
    it = Hedged(api)
    once(lambda: len(api.calls) == 2, lambda: api.answer(1, FIRST))
    assert it.ask() is FIRST
    assert (it.ledger.total.calls, it.ledger.total.hedged) == (1, 0)


def test_the_requests_end_ends_both() -> None:
    """With its own reason."""
    api, whole = Api(), Deadline()
    it = Hedged(api)
    once(lambda: len(api.calls) == 2, lambda: whole.end(Ended("hung up")))
    with pytest.raises(Ended, match="hung up"):
        it.ask(replace(CALL, deadline=whole))
    assert [type(error) for error in api.ended] == [Ended, Ended]


@pytest.mark.parametrize(
    "request_",
    [
        replace(CALL, listener=lambda _: None),
        replace(CALL, budget=Budget(calls=50)),
        replace(CALL, budget=Budget(tokens=50_000)),
        replace(CALL, label=Label(Step.REVIEW)),
    ],
    ids=["streamed", "budget of calls", "budget of tokens", "unknown kind"],
)
def test_these_have_no_second_call(request_: ChatRequest) -> None:
    """Streams cannot be begun again, a budget is for needed calls, and a step whose calls are not known is not late."""
    api = Api(call1=FIRST)
    it = Hedged(api)
    assert it.ask(request_) is FIRST
    assert [call.when_late for call in api.calls] == [None]


@pytest.mark.parametrize("limits", [{"requests-minute": SPARE_ROOM - 1.0}, {"tokens-minute": 1000.0}])
def test_calls_that_others_need_are_not_taken(limits: dict[str, float]) -> None:
    """Where the rate limits have room for few more."""
    api = Api(call1=FIRST)
    it = Hedged(api, limits)
    assert it.ask() is FIRST
    assert (len(api.calls), it.second_calls) == (1, 0)
    assert it.policy.take()  # it was given back


def test_no_second_call_where_others_wait() -> None:
    """The limiter's place belongs to them."""
    api = Api(call1=FIRST)
    it = Hedged(api)
    it.limiter.max_concurrency = 0.0  # no call may be in flight
    waiting = Deadline()
    thread = threading.Thread(target=_wait_for_turn, args=(it.limiter, waiting))
    thread.start()
    until(lambda: it.limiter.waiting == 1)
    it.limiter.max_concurrency = 64.0
    assert it.ask() is FIRST
    waiting.end(Ended("over"))
    thread.join()
    assert (len(api.calls), it.second_calls) == (1, 0)


def _wait_for_turn(limiter: RateLimiter, deadline: Deadline) -> None:
    with pytest.raises(Ended, match="over"):
        limiter.acquire((0,), Cost(1, 100), replace(CALL, deadline=deadline), lambda _: None)


def failed_with(error: CepoError) -> tuple[HedgePolicy, Clock]:
    """Return a policy that has a second call to make, after a call that failed with this error at time 0."""
    it, clock = Hedged(Api(call1=error)), Clock()
    policy = HedgePolicy(clock)
    for _ in range(20):
        policy.on_call()
    with pytest.raises(type(error)):
        replace(it.client, policy=policy).complete(CALL)
    return policy, clock


@pytest.mark.parametrize("error", [RateLimited("busy"), ApiUnavailable("down"), ApiTimeout("slow")])
def test_after_a_failure_of_the_api_there_is_none_for_a_while(error: CepoError) -> None:
    """It has enough to do."""
    policy, clock = failed_with(error)
    assert not policy.take()
    clock.now = PAUSE
    assert policy.take()


@pytest.mark.parametrize("error", [Ended("hung up"), OutOfTime("kept"), DeadlineExceeded("over"), RefusedCall("no")])
def test_the_end_or_a_fault_of_one_request_changes_nothing_for_others(error: CepoError) -> None:
    """A client that hangs up is no sign of the API's load."""
    policy, _ = failed_with(error)
    assert policy.take()


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return them."""
        return self.now
