"""What becomes of questions when the container is told to stop."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from containers import Note, Stack, docker, inspected, until
from questions import DIRECT, PLANNED, Reply, ask, ask_many, get

SIDECAR = "cepo-cerebras-cepo-cerebras-1"


@contextmanager
def told_to_stop(secret: Path, **settings: str) -> Iterator[tuple[list[Future[Reply]], Future[str]]]:
    """A sidecar with a planned question and six direct ones, two of them streams, as `docker stop` is told."""
    with Stack(secret, **settings).up("cepo-cerebras"), ThreadPoolExecutor(1) as engine:
        until(lambda: _ready())
        questions = [*ask_many(1, PLANNED), *ask_many(4), *ask_many(2, stream=True)]
        until(lambda: re.search(rb"^cepo_cerebras_requests_in_flight 7.0$", get("/metrics").body, re.MULTILINE))
        yield questions, engine.submit(docker, "stop", "--time", "35", SIDECAR)


def _ready() -> bool:
    try:
        return get("/ready").status == 200
    except (OSError, http.client.HTTPException):
        return False


def _refused() -> bool:
    """Whether a new question is turned away: with 503, or by nobody listening."""
    try:
        return ask(DIRECT).status == 503
    except (OSError, http.client.HTTPException):
        return True


def test_what_runs_is_finished_and_nothing_new_begun(secret: Path, note: Note) -> None:
    """Each of the seven is answered whole, a new one is refused meanwhile, and the exit code is 0."""
    with told_to_stop(secret) as (questions, stopped):
        began = time.monotonic()
        until(_refused)
        assert not questions[0].done(), "the planned question was not in flight any more"
        replies = [question.result() for question in questions]
        assert [reply.status for reply in replies] == [200] * 7
        assert replies[0].json()["cepo_cerebras"]["calls"] == 24
        assert all(reply.events() for reply in replies[-2:])
        stopped.result()
        seconds = time.monotonic() - began
        note(f"SIGTERM with 7 questions in flight: all answered, new ones refused, exit 0 after {seconds:.1f} s")
        assert inspected(SIDECAR)["State"]["ExitCode"] == 0


def test_what_takes_longer_than_the_grace_is_told_so(secret: Path) -> None:
    """A second is too short for the plan: 503 with a time to come again, and the exit code is 0 all the same."""
    with told_to_stop(secret, CEPO_CEREBRAS_GRACE="1") as (questions, stopped):
        planned = questions[0].result()
        assert planned.status == 503
        assert planned.json()["error"]["code"] == "shutting_down"
        assert planned.headers["retry-after"]
        stopped.result()
        assert inspected(SIDECAR)["State"]["ExitCode"] == 0
