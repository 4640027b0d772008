"""The sidecar's log: JSON lines, written by one thread."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest
from support.waiting import until

from optillm_cerebras_cepo.core.errors import HUNG_UP
from optillm_cerebras_cepo.sidecar import logs

LOGGER = logging.getLogger("optillm_cerebras_cepo.test")


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore the handlers and the level of this process."""
    level = logging.root.level
    monkeypatch.setattr(logging.root, "handlers", [])
    yield
    logging.root.setLevel(level)


def test_every_line_is_written_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Also the last ones, when the server ends at once."""
    with logs.json_logging():
        for number in range(1000):
            LOGGER.info("line %d", number)
    LOGGER.info("after it")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == [*(f"line {number}" for number in range(1000)), "after it"]
    assert lines[0].keys() == {"time", "level", "logger", "message"}


def test_arguments_are_formatted_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """They may change before the line is written."""
    names = ["one"]
    with logs.json_logging():
        LOGGER.info("names: %s", names)
        names.append("two")
    assert json.loads(capsys.readouterr().err)["message"] == "names: ['one']"


def test_logging_blocks_when_the_queue_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the lines would fill the memory."""
    taken = threading.Event()

    class Blocked(io.StringIO):
        def write(self, text: str) -> int:
            taken.wait(60)
            return super().write(text)

    monkeypatch.setattr("sys.stderr", err := Blocked())
    monkeypatch.setattr(logs, "MAX_QUEUED", 10)
    logged: list[int] = []

    def log() -> None:
        for number in range(50):
            LOGGER.info("line %d", number)
            logged.append(number)

    with logs.json_logging():
        threading.Thread(target=log, daemon=True).start()
        until(lambda: len(logged) >= 10)
        assert not taken.wait(5 * logs.POLL_SECONDS)
        assert len(logged) <= 11  # ten that wait, and the one that is being written
        taken.set()
        until(lambda: len(logged) == 50)
    assert len(err.getvalue().splitlines()) == 50


@pytest.mark.parametrize(
    ("level", "written"), [(logging.INFO, ["failed"]), (logging.DEBUG, ["start", HUNG_UP, "failed"])]
)
def test_lines_of_optillm_that_repeat_ours_are_dropped(
    level: int, written: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of its start and of a client that hung up, unless the operator wants all."""
    with logs.json_logging():
        logging.root.setLevel(level)
        logs.OPTILLM.info("start")
        logs.OPTILLM.error("%s", HUNG_UP)
        logs.OPTILLM.error("failed")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == written
