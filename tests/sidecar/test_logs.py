"""The sidecar's log: JSON, a line each, written by one thread."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
from support.waiting import until

from optillm_cerebras_cepo.sidecar import logs

LOGGER = logging.getLogger("optillm_cerebras_cepo.test")


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's own handlers and level come back."""
    level = logging.root.level
    monkeypatch.setattr(logging.root, "handlers", [])
    yield
    logging.root.setLevel(level)


def test_every_line_is_written_in_its_turn(capsys: pytest.CaptureFixture[str]) -> None:
    """The last ones too, when the server ends at once."""
    with logs.as_json():
        for number in range(1000):
            LOGGER.info("line %d", number)
    LOGGER.info("after it")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == [*(f"line {number}" for number in range(1000)), "after it"]
    assert lines[0].keys() == {"time", "level", "logger", "message"}


def test_a_line_says_what_was_so_when_it_was_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever becomes of it before it is written."""
    names = ["one"]
    with logs.as_json():
        LOGGER.info("names: %s", names)
        names.append("two")
    assert json.loads(capsys.readouterr().err)["message"] == "names: ['one']"


def test_who_logs_waits_when_nobody_takes_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else they would fill the memory."""
    taken = threading.Event()

    class Blocked(io.StringIO):
        def write(self, text: str) -> int:
            taken.wait(60)
            return super().write(text)

    monkeypatch.setattr("sys.stderr", err := Blocked())
    monkeypatch.setattr(logs, "MOST", 10)
    logged: list[int] = []

    def log() -> None:
        for number in range(50):
            LOGGER.info("line %d", number)
            logged.append(number)

    with logs.as_json():
        threading.Thread(target=log, daemon=True).start()
        until(lambda: len(logged) >= 10)
        assert not taken.wait(5 * logs.PAUSE)
        assert len(logged) <= 11  # ten that wait, and the one that is being written
        taken.set()
        until(lambda: len(logged) == 50)
    assert len(err.getvalue().splitlines()) == 50
