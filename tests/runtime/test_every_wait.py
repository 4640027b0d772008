"""Every wait that there is in a request ends with its deadline, with its cancellation, and with the server's stop.

What is waited for never comes here, and no time limit of its own ends the wait. So a test that ends at all has seen the
wait obey.
"""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from conftest import KEY
from support.solving import solve
from support.waiting import until

from optillm_cerebras_cepo.cepo import outcome
from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import CepoError, DeadlineExceeded, Ended
from optillm_cerebras_cepo.core.events import CallDelayed, Event
from optillm_cerebras_cepo.llm import catalogue, retry, sdk
from optillm_cerebras_cepo.llm.rate_limits import redis_store
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.limits import RateLimits
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator
from optillm_cerebras_cepo.voting import algebra_process

FOR_EVER = 86_000.0  # seconds
HUNG = Rule(fault="hang")


class Stopped(Ended):
    """What a server that stops says."""


@dataclass
class Waiting:
    """A request in one of its waits.

    Attributes:
        simulate: starts the API.
        monkeypatch: takes the waits' own time limits away.
        cleanup: what ends with the test.
        runtime: of its own.
        settings: of the request.
        reached: whether the request is in the wait, or just before it.
        answers: whether the end of the time gives an answer: what is there.

    """

    simulate: Callable[..., Simulator]
    monkeypatch: pytest.MonkeyPatch
    cleanup: ExitStack
    runtime: Runtime = field(default_factory=Runtime)
    settings: dict[str, Any] = field(default_factory=lambda: {"effort": "none"})
    reached: Callable[[], object] = lambda: True
    answers: bool = False
    api: Simulator | None = None
    events: list[Event] = field(default_factory=list)

    def start(self, **options: Any) -> Simulator:
        """Start the API."""
        self.api = self.simulate(**options)
        return self.api

    def ask(self, deadline: Deadline, **settings: Any) -> RequestResult:
        """Ask the one question."""
        assert self.api is not None
        chosen = Settings(**self.settings, **settings)
        client = self.runtime.client(self.api.url, KEY)
        return solve(
            self.runtime, Question("What is 6 times 7?"), chosen, client, self.events.append, deadline=deadline
        )

    def ask_beside(self) -> Deadline:
        """Ask another question first, which never ends by itself."""
        deadline, api = Deadline(math.inf), self.api
        assert api is not None
        threads = self.cleanup.enter_context(ThreadPoolExecutor(1))
        self.cleanup.callback(deadline.end)
        calls = len(api.calls)
        threads.submit(self.ask, deadline)
        until(lambda: len(api.calls) > calls and (api.in_flight or not api.chat_calls))
        return deadline


def list_of_models(it: Waiting) -> None:
    """An API that takes the question for its list, and says nothing."""
    it.monkeypatch.setattr(sdk, "LIST_TIMEOUT", FOR_EVER)
    api = it.start(lists=(None, None, None))
    it.reached = lambda: api.calls


def list_that_another_asks_for(it: Waiting) -> None:
    """Another request is asking for the list."""
    list_of_models(it)
    it.ask_beside()


def pause_before_the_list_is_asked_for_again(it: Waiting) -> None:
    """A list without the model."""
    it.monkeypatch.setattr(catalogue, "RETRY_PAUSE", FOR_EVER)
    api = it.start(models=("gpt-oss-120b",))
    it.reached = lambda: api.calls


def call(it: Waiting) -> None:
    """A call that is not answered."""
    it.monkeypatch.setattr(retry, "START_SECONDS", FOR_EVER)
    it.settings["call_timeout"] = FOR_EVER
    api = it.start(rules=(HUNG,))
    it.reached = lambda: api.in_flight


def plans(it: Waiting) -> None:
    """The calls of three candidates, and the attempts behind them."""
    call(it)
    it.settings["effort"] = "medium"


def next_try(it: Waiting) -> None:
    """An API that wants to be asked much later."""
    it.start(rules=(Rule(reply=Reply(503, {"message": "busy"}, {"retry-after": "80000"})),))
    it.reached = lambda: any(isinstance(event, CallDelayed) for event in it.events)


def rate_limit(it: Waiting) -> None:
    """A limit that lets the next call through in some minutes."""
    it.start(limits=RateLimits(requests_per_hour=1))
    it.ask(Deadline(FOR_EVER))
    it.reached = lambda: any(isinstance(event, CallDelayed) for event in it.events)


def concurrency(it: Waiting) -> None:
    """As many calls as may be out are out."""
    call(it)
    it.settings["concurrency"] = 1
    it.ask_beside()


def place(it: Waiting) -> None:
    """As many questions as are planned at once are planned."""
    plans(it)
    it.runtime.limit_planned_requests(1)
    it.ask_beside()


def tokens(it: Waiting) -> None:
    """Other calls of the request have taken its tokens, and may give some back."""
    plans(it)
    it.settings |= {"max_total_tokens": 30_000, "bestofn_n": 1}


def vote(it: Waiting) -> None:
    """An algebra that never gets ready, and answers that only it can compare."""
    it.monkeypatch.setattr(algebra_process, "START_SECONDS", FOR_EVER)
    silent = algebra_process.Equivalence("support.silent_algebra", cpu_seconds=0)
    it.monkeypatch.setattr(outcome, "equal_formulas", silent)
    it.cleanup.callback(silent.close)
    asked, submit = list[str](), silent.submit

    def note(one: str, other: str) -> Future[bool | None]:
        asked.append(one)
        return submit(one, other)

    it.monkeypatch.setattr(silent, "submit", note)
    it.start(rules=(Rule(text=tuple(f"The answer is $\\sqrt{{{number}}}x$." for number in range(2, 50))),))
    it.settings = {"bestofn_n": 3, "planning_n": 1, "planning_m": 1, "bestofn_rating_type": "majority"}
    it.reached = lambda: asked
    it.answers = True


def redis(it: Waiting) -> None:
    """A Redis that takes the connection, and says nothing."""
    it.monkeypatch.setattr(redis_store, "RESPONSE_TIMEOUT", FOR_EVER)
    server = it.cleanup.enter_context(socket.create_server(("127.0.0.1", 0)))
    taken: list[socket.socket] = []

    def take() -> None:
        try:
            taken.append(server.accept()[0])
        except OSError:  # closed
            return

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    it.cleanup.callback(lambda: [connection.close() for connection in taken])
    it.settings["redis_url"] = f"redis://127.0.0.1:{server.getsockname()[1]}"
    it.start()
    it.reached = lambda: taken


WAITS = [
    list_of_models,
    list_that_another_asks_for,
    pause_before_the_list_is_asked_for_again,
    call,
    plans,
    next_try,
    rate_limit,
    concurrency,
    place,
    tokens,
    vote,
    redis,
]


@pytest.fixture
def waiting(simulate: Callable[..., Simulator], monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    """A request that is not in a wait yet."""
    with ExitStack() as cleanup:
        it = Waiting(simulate, monkeypatch, cleanup)
        cleanup.callback(it.runtime.reset)
        yield it


def asked(it: Waiting, deadline: Deadline) -> Future[RequestResult]:
    """The request on a thread of its own, in its wait."""
    threads = it.cleanup.enter_context(ThreadPoolExecutor(1))
    future = threads.submit(it.ask, deadline)
    it.cleanup.callback(deadline.end)  # before the thread is waited for
    until(it.reached)
    return future


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_ends_with_the_deadline(waiting: Waiting, wait: Callable[[Waiting], None]) -> None:
    """With an error that says so, or with what is there."""
    wait(waiting)
    if waiting.answers:
        assert waiting.ask(Deadline(5.0)).outcome.answer
    else:
        with pytest.raises(CepoError) as caught:
            waiting.ask(Deadline(0.5))
        assert isinstance(caught.value, DeadlineExceeded) or caught.value.retry_after, caught.value


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_ends_when_the_client_hangs_up(waiting: Waiting, wait: Callable[[Waiting], None]) -> None:
    """Whatever is there: nobody would read it."""
    wait(waiting)
    deadline = Deadline(FOR_EVER)
    future = asked(waiting, deadline)
    deadline.end(Ended("the client hung up"))
    with pytest.raises(Ended):
        future.result()


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_ends_when_the_server_stops(waiting: Waiting, wait: Callable[[Waiting], None]) -> None:
    """And a request that comes after the stop does not begin to wait."""
    wait(waiting)
    future = asked(waiting, Deadline(FOR_EVER))
    waiting.runtime.stop(lambda: Stopped("stopping"))
    with pytest.raises(Stopped):
        future.result()
    with pytest.raises(Stopped):
        waiting.ask(Deadline(FOR_EVER))
