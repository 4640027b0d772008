"""The end of a request's work: whoever waits for it is told, whatever has ended it."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from pytest_mock import MockerFixture

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import ApiTimeout, CepoError
from optillm_cerebras_cepo.host.hangup import Clients
from optillm_cerebras_cepo.host.work import Pause, Work
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.simulator.server import Simulator

ENDS = [SystemExit("the secret prompt"), GeneratorExit(), KeyboardInterrupt(), MemoryError(), RuntimeError()]
PAUSES = 3000  # of 0.01 s: far more than any of these takes


def raising(error: BaseException) -> Callable[..., NoReturn]:
    """What raises this."""

    def solve(*_: object) -> NoReturn:
        raise error

    return solve


def last(work: Work) -> object:
    """The last of the news, or a Pause where there is no last."""
    return [*itertools.islice(work.news(0.01), PAUSES)][-1]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_whoever_reads_the_news_is_told_of_any_end(error: BaseException) -> None:
    """Also of one that ends a thread without a word: a stream would send heartbeats for ever."""
    work = Work(raising(error), Deadline(60))
    work.begin()
    told = last(work)
    assert isinstance(told, CepoError)
    assert "secret" not in told.message


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let no thread of ours start but those whose names are put into this list."""
    allowed: list[str] = []
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("cepo-cerebras") and thread.name not in allowed:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    return allowed


def test_where_no_thread_can_be_started_the_work_ends(no_thread: list[str]) -> None:
    """All that was begun for it ends as well, and whoever reads the news is told."""
    deadline, ended = Deadline(60), list[str]()

    def solve(*_: object) -> NoReturn:
        try:
            deadline.check()
        finally:
            ended.append("the entry of the log")
        raise AssertionError("a call would be made")

    work = Work(solve, deadline)
    work.begin()
    told = last(work)
    assert isinstance(told, CepoError)
    assert "no thread left" in told.message
    assert ended == ["the entry of the log"]


def test_where_no_thread_can_be_started_the_next_request_tries_again(no_thread: list[str]) -> None:
    """The one that looks after all clients."""
    clients, told = Clients(), threading.Event()
    with pytest.raises(RuntimeError), clients.watched(lambda: True, told.set):
        pass
    no_thread.append("cepo-cerebras-clients")
    with clients.watched(lambda: True, told.set):
        assert told.wait(60)


def test_an_error_of_ours_is_told_as_it_is() -> None:
    """With its own status."""
    work = Work(raising(ApiTimeout("late")), Deadline(60))
    work.begin()
    assert isinstance(last(work), ApiTimeout)


@pytest.mark.parametrize("error", [RuntimeError(), SystemExit()], ids=lambda error: type(error).__name__)
def test_a_watcher_that_fails_keeps_nobody_from_being_told(error: BaseException, mocker: MockerFixture) -> None:
    """It was to raise nothing."""
    watcher = mocker.Mock(request_id="x")
    watcher.ended.side_effect = error
    work = Work(raising(ApiTimeout("late")), Deadline(60), watcher)
    work.begin()
    assert not isinstance(last(work), Pause)


@pytest.mark.parametrize("error", [SystemExit(), GeneratorExit()], ids=lambda error: type(error).__name__)
def test_whoever_waits_for_the_result_gets_an_error_of_ours(error: BaseException, mocker: MockerFixture) -> None:
    """The server's thread goes on, and the watcher is told."""
    watcher = mocker.Mock(request_id="x")
    with pytest.raises(CepoError, match=type(error).__name__):
        Work(raising(error), Deadline(60), watcher).result(lambda: False)
    assert watcher.ended.call_count == 1


def test_ctrl_c_is_not_an_error_of_a_request() -> None:
    """It is the main thread's."""
    with pytest.raises(KeyboardInterrupt):
        Work(raising(KeyboardInterrupt()), Deadline(60)).result(lambda: False)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_is_told_of_it(ask: Any, api: Simulator, mocker: MockerFixture, stream: bool) -> None:
    """500 in OpenAI's shape, or the stream's last event."""
    mocker.patch.object(RUNTIME, "solve", side_effect=SystemExit("the secret prompt"))
    response = ask(stream=stream)
    text = response.get_data(as_text=True)
    error = json.loads(text.rstrip().rpartition("data: ")[2])["error"]
    assert response.status_code == (200 if stream else 500)
    assert "SystemExit" in error["message"]
    assert "secret" not in text


def test_a_client_that_cannot_be_looked_at_ends_the_looking_for_no_other() -> None:
    """One thread looks for all, and nobody would start another."""
    clients, told = Clients(), list[str]()
    with (
        clients.watched(raising(SystemExit()), lambda: told.append("first")),
        clients.watched(lambda: True, lambda: told.append("left")),
    ):
        clients.look()
    assert told == ["left"]
