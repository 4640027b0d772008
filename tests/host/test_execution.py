"""The end of an execution: its reader gets a result or an error, whatever has ended it."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from pytest_mock import MockerFixture

from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import ApiTimeout, CepoError
from optillm_cerebras_cepo.host.execution import DisconnectWatcher, Execution, NoUpdate
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.simulator.server import Simulator

ENDS = [SystemExit("the secret prompt"), GeneratorExit(), KeyboardInterrupt(), MemoryError(), RuntimeError()]
PAUSES = 3000  # of 0.01 s: far more than any of these takes


def raising(error: BaseException) -> Callable[..., NoReturn]:
    """Return a function that raises this."""

    def solve(*_: object) -> NoReturn:
        raise error

    return solve


def last(work: Execution) -> object:
    """Return the last update, or a NoUpdate if there is no end."""
    return [*itertools.islice(work.updates(0.01), PAUSES)][-1]


@pytest.mark.parametrize("error", ENDS, ids=lambda error: type(error).__name__)
def test_every_exception_ends_the_updates(error: BaseException) -> None:
    """Even one that Python ends a thread for silently: a stream would send heartbeats for ever."""
    work = Execution(raising(error), Deadline(60))
    work.start()
    told = last(work)
    assert isinstance(told, CepoError)
    assert "secret" not in told.message


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let none of our threads start, except those whose names are in this list."""
    allowed: list[str] = []
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("cepo-cerebras") and thread.name not in allowed:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    return allowed


def test_without_a_thread_the_execution_ends(no_thread: list[str]) -> None:
    """`solve` still runs, to release what it holds, and the reader gets an error."""
    deadline, ended = Deadline(60), list[str]()

    def solve(*_: object) -> NoReturn:
        try:
            deadline.check()
        finally:
            ended.append("the entry of the log")
        raise AssertionError("a call would be made")

    work = Execution(solve, deadline)
    work.start()
    told = last(work)
    assert isinstance(told, CepoError)
    assert "no thread left" in told.message
    assert ended == ["the entry of the log"]


def test_without_a_thread_the_next_request_starts_the_watcher(no_thread: list[str]) -> None:
    """The thread that checks all connections."""
    clients, told = DisconnectWatcher(), threading.Event()
    with pytest.raises(RuntimeError), clients.watched(lambda: True, told.set):
        pass
    no_thread.append("cepo-cerebras-clients")
    with clients.watched(lambda: True, told.set):
        assert told.wait(60)


def test_a_cepo_error_is_not_converted() -> None:
    """It keeps its status."""
    work = Execution(raising(ApiTimeout("late")), Deadline(60))
    work.start()
    assert isinstance(last(work), ApiTimeout)


@pytest.mark.parametrize("error", [RuntimeError(), SystemExit()], ids=lambda error: type(error).__name__)
def test_a_failing_observer_does_not_keep_the_result_back(error: BaseException, mocker: MockerFixture) -> None:
    """Although observers must not raise."""
    watcher = mocker.Mock(request_id="x")
    watcher.on_end.side_effect = error
    work = Execution(raising(ApiTimeout("late")), Deadline(60), watcher)
    work.start()
    assert not isinstance(last(work), NoUpdate)


@pytest.mark.parametrize("error", [SystemExit(), GeneratorExit()], ids=lambda error: type(error).__name__)
def test_result_converts_exceptions_to_cepo_errors(error: BaseException, mocker: MockerFixture) -> None:
    """The server's thread goes on, and the observer is called once."""
    watcher = mocker.Mock(request_id="x")
    with pytest.raises(CepoError, match=type(error).__name__):
        Execution(raising(error), Deadline(60), watcher).result(lambda: False)
    assert watcher.on_end.call_count == 1


def test_ctrl_c_is_not_converted() -> None:
    """It is for the main thread."""
    with pytest.raises(KeyboardInterrupt):
        Execution(raising(KeyboardInterrupt()), Deadline(60)).result(lambda: False)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("stream", [False, True])
def test_the_client_gets_an_error_for_any_exception(
    ask: Any, api: Simulator, mocker: MockerFixture, stream: bool
) -> None:
    """500 in OpenAI's format, or the stream's last event."""
    mocker.patch.object(RUNTIME, "answer", side_effect=SystemExit("the secret prompt"))
    response = ask(stream=stream)
    text = response.get_data(as_text=True)
    error = json.loads(text.rstrip().rpartition("data: ")[2])["error"]
    assert response.status_code == (200 if stream else 500)
    assert "SystemExit" in error["message"]
    assert "secret" not in text


def test_a_failing_check_does_not_end_the_watcher() -> None:
    """All requests depend on its one thread."""
    clients, told = DisconnectWatcher(), list[str]()
    with (
        clients.watched(raising(SystemExit()), lambda: told.append("first")),
        clients.watched(lambda: True, lambda: told.append("left")),
    ):
        clients.check()
    assert told == ["left"]
