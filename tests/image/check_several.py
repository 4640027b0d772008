"""The profile `scale`: HAProxy before three sidecars that keep one pace through Redis."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from containers import Note, Stack, docker, inspected, logged, until
from questions import DIRECT, PLANNED, ask, ask_many, connected, get, send

REPLICAS = [f"cepo-cerebras-replica-{number}" for number in (1, 2, 3)]
BALANCER = "cepo-cerebras-balancer-1"
REDIS = "cepo-cerebras-redis-1"


@pytest.fixture(scope="module", autouse=True)
def stack(secret: Path) -> Iterator[Stack]:
    """All of it, as the profile's command starts it."""
    stack = Stack(secret, CEPO_CEREBRAS_RPM="6000")  # a limit to keep; none is reached
    with stack.up("balancer"):
        until(lambda: _status("/ready") == 200)
        yield stack


def _status(path: str) -> int:
    try:
        return get(path).status
    except (OSError, http.client.HTTPException):
        return 0


def answered_by(prefix: str) -> dict[str, dict[str, Any]]:
    """What the sidecars' logs have of the requests whose ids begin so, and which of them it was."""
    return {
        line["request_id"]: line | {"replica": replica}
        for replica in REPLICAS
        for line in logged(replica)
        if line["message"] == "request" and line["request_id"].startswith(prefix)
    }


def test_only_the_balancer_is_published() -> None:
    """The one sidecar of the plain stack is not there, and Redis has no port."""
    running = docker("ps", "--format", "{{.Names}} {{.Ports}}").split("\n")
    published = [line.split()[0] for line in running if "->" in line]
    assert published == [BALANCER]
    assert get("/health").json() == {"status": "ok"}


def test_questions_are_shared_out(note: Note) -> None:
    """Each sidecar gets its part of those that come at once, under the client's own ids."""
    replies = [asked.result() for asked in ask_many(12, request_id="shared")]
    assert [reply.status for reply in replies] == [200] * 12
    assert {reply.headers["x-request-id"] for reply in replies} == {f"shared-{number}" for number in range(12)}
    until(lambda: len(answered_by("shared-")) == 12)  # a log is written a moment after its replies
    share = Counter(line["replica"] for line in answered_by("shared-").values())
    note(f"12 questions at once through the balancer: {sorted(share.values())} to three sidecars")
    assert len(share) == 3
    assert min(share.values()) >= 2


def test_a_stream_is_not_held_back() -> None:
    """It comes through the balancer as it is made."""
    reply = ask(DIRECT, stream=True)
    assert reply.events()
    assert reply.moments[-1] - reply.moments[0] > 0.3  # the API takes 0.8 s for it


def test_who_hangs_up_is_heard_behind_the_balancer() -> None:
    """The sidecar ends the work before all its calls are made."""
    with connected() as connection:
        send(connection, PLANNED, request_id="hung-up")
        time.sleep(0.7)
    line = until(lambda: answered_by("hung-up").get("hung-up"))
    assert line["hung_up"] is True
    assert line["calls"] < 24


def test_they_keep_one_pace() -> None:
    """What is left of the limit is in Redis."""
    ask(DIRECT)
    assert int(docker("exec", REDIS, "redis-cli", "dbsize")) > 0
    assert "is unavailable" not in "".join(line["message"] for replica in REPLICAS for line in logged(replica))


def test_figures_are_asked_of_each_sidecar() -> None:
    """One of three would be any one's."""
    assert get("/metrics").status == 404
    asked = "from urllib.request import urlopen; print(urlopen('http://gogga-cepo:8080/health').status)"
    assert docker("exec", REPLICAS[0], "python", "-c", asked) == "200\n"


@dataclass(frozen=True)
class Asked:
    """One question: when it was asked, and its status, or None where the connection broke."""

    at: float
    status: int | None


class Load:
    """Clients that ask one question after the other."""

    def __init__(self, clients: int) -> None:
        self.asked: list[Asked] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            at = time.monotonic()
            try:
                status: int | None = ask(DIRECT).status
            except (OSError, http.client.HTTPException):
                status = None
            self.asked.append(Asked(at, status))

    def since(self, moment: float) -> list[Asked]:
        """Those that were asked later."""
        return [asked for asked in self.asked if asked.at > moment]


def test_the_death_of_one_is_survived(note: Note) -> None:
    """Questions that it had in hand may be lost; everyone who asks after that is answered by the others."""
    with Load(clients=6) as load:
        until(lambda: len(load.asked) >= 12)
        docker("kill", REPLICAS[1])
        dead = time.monotonic()
        until(lambda: len(load.since(dead)) >= 30)
    later = load.since(dead)
    lost = [asked for asked in load.asked if asked.status != 200]
    note(f"one of three killed under load: {len(lost)} lost with it; of {len(later)} asked after that, none")
    assert [asked for asked in later if asked.status != 200] == []


def test_stopping_the_balancer_lets_a_stream_end() -> None:
    """It takes nothing new, and ends with its last reply."""
    (stream,) = ask_many(1, PLANNED, stream=True, request_id="last")
    time.sleep(0.5)
    docker("stop", "--time", "35", BALANCER)
    assert stream.result().events()
    assert inspected(BALANCER)["State"]["ExitCode"] == 0
