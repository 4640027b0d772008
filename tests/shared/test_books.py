"""Limits in a real Redis: changed all at once by whoever changes them, and in nobody's way when it is not there."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from unittest.mock import Mock

import pytest
from conftest import KEY
from redis.exceptions import RedisError
from support.redis_server import RedisServer
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.llm import shared
from optillm_cerebras_cepo.llm.bucket import Bucket
from optillm_cerebras_cepo.llm.limits import Cost, Limits, Ticket, Wait, admit, answered, limited
from optillm_cerebras_cepo.llm.pace import Books
from optillm_cerebras_cepo.llm.shared import Shared, SharedBooks
from optillm_cerebras_cepo.quota import Allowance

WINDOW = "requests-day"  # so long that nothing flows in while a test runs
NAME = ("https://api.cerebras.ai", KEY, "llama-3.3-70b")
Process = Callable[..., SharedBooks]


@pytest.fixture
def process(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """Open the limits as one more process does, with these limits of the operator's.

    A Redis that is there is waited for, however loaded the machine; one that was away is found again soon.
    """
    monkeypatch.setattr(shared, "AGAIN", 0.05)
    monkeypatch.setattr(shared, "PATIENCE", PATIENCE)
    opened: list[Shared] = []

    def open_one(**own: float) -> SharedBooks:
        opened.append(Shared(redis.url))
        windows = {window.replace("_", "-"): limit for window, limit in own.items()}
        return opened[-1].books(NAME, lambda now: limited(windows, now))

    yield open_one
    for one in opened:
        one.close()


def enter(books: Books, tokens: float = 10) -> Ticket | Wait:
    """Ask for one call."""
    return books.change(lambda known, now: admit(known, Cost(1, tokens), now))


def learn(books: Books, limit: float, remaining: float) -> None:
    """Make a call, whose reply tells of a limit."""
    ticket = enter(books)
    assert isinstance(ticket, Ticket)
    quota = {"requests-minute": Allowance(60_000, 60_000), WINDOW: Allowance(limit, remaining)}
    books.change(lambda known, now: (answered(known, ticket, quota, now), None))


def look(books: Books) -> Limits:
    """The limits as they stand."""
    return books.change(lambda known, _: (known, known))


def test_what_one_learns_the_others_know(process: Process) -> None:
    """Limits and what is charged to them; every number comes out of Redis as it went in, infinite ones too."""
    one, other = process(), process()
    learn(one, 300, 42)
    assert look(other) == look(one)
    assert look(other).trial is None
    assert isinstance(enter(other), Ticket)
    assert look(one).charged == Cost(2, 20)


def test_no_call_is_charged_twice_or_not_at_all(process: Process) -> None:
    """Forty threads of four processes at once, on a limit of a hundred."""
    processes = [process(requests_minute=60_000, requests_day=100) for _ in range(4)]
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda number: enter(processes[number % 4]), range(200)))
    let_in = sum(isinstance(answer, Ticket) for answer in answers)
    assert 99 <= let_in <= 100  # the last may have to wait for the margin
    assert look(processes[0]).charged.requests == let_in


def test_before_anything_is_known_four_calls_are_out_in_all(process: Process) -> None:
    """Not four of each process."""
    answers = [enter(books) for books in [process() for _ in range(3)] for _ in range(3)]
    assert sum(isinstance(answer, Ticket) for answer in answers) == 4


def test_the_trial_calls_of_a_process_that_died_are_forgotten(
    process: Process, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for them does not lengthen the time for which they are kept."""
    assert shared.UNLEARNT == 60
    monkeypatch.setattr(shared, "UNLEARNT", 6_000)
    died, other = process(), process()
    for _ in range(4):
        enter(died)
    (key,) = redis.limits()
    assert 5_000 < redis.client.ttl(key) <= 6_000
    redis.client.expire(key, 3_000)
    assert isinstance(enter(other), Wait)
    assert look(other).trial == 0
    assert redis.client.ttl(key) <= 3_000
    redis.client.delete(key)  # as it does when its time is over
    assert isinstance(enter(other), Ticket)


def test_what_is_learnt_is_kept_for_a_day(process: Process, redis: RedisServer) -> None:
    """After that every window is full again."""
    learn(process(), 300, 42)
    (key,) = redis.limits()
    assert 86_000 < redis.client.ttl(key) <= 86_400


def test_neither_key_nor_address_goes_to_redis(process: Process, redis: RedisServer) -> None:
    """The names there are hashes."""
    learn(process(), 300, 42)
    names = redis.client.keys()
    texts = b" ".join([*names, *(redis.client.dump(name) or b"" for name in names)])
    assert len(names) == 2
    assert KEY.encode() not in texts
    assert b"cerebras.ai" not in texts


def test_what_cannot_be_read_is_begun_anew(process: Process, redis: RedisServer) -> None:
    """It may be another version's."""
    books = process()
    learn(books, 300, 42)
    (key,) = redis.limits()
    redis.client.set(key, b'{"buckets": "many"}')
    assert look(process()).buckets == {}
    learn(books, 300, 40)
    assert look(process()).buckets[WINDOW].limit == 300


def test_a_new_limit_of_the_operators_holds_at_once(process: Process) -> None:
    """Although another is kept."""
    assert isinstance(enter(process(requests_minute=300)), Ticket)
    after = process(requests_minute=5)
    assert look(after).own["requests-minute"].limit == 5


def test_without_redis_each_goes_on_with_its_share_and_comes_back(
    process: Process, redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so once, and once that it is back; what it has charged meanwhile counts for all then."""
    caplog.set_level(logging.INFO, logger="optillm_cerebras_cepo")
    one, other = process(), process()
    learn(one, 60, 40)
    learn(other, 60, 39)
    monkeypatch.setattr(shared, "BEAT", 0.0)  # or one would hear of the other only after two seconds
    look(one)
    redis.kill()
    alone = [enter(one) for _ in range(25)]
    assert 19 <= sum(isinstance(answer, Ticket) for answer in alone) <= 21  # half of what was left
    assert look(one).buckets[WINDOW].limit == 30
    redis.start()
    until(lambda: "is back" in caplog.text)
    assert look(one).buckets[WINDOW].limit == 60
    until(lambda: bool(redis.limits()))
    assert look(other).buckets[WINDOW].level < 6
    where = f"127.0.0.1:{redis.port}"
    assert [record.getMessage() for record in caplog.records] == [
        f"Redis at {where} is away (ConnectionError): this process keeps to 1/2 of the limits by itself",
        f"Redis at {where} is back: the limits are shared again",
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_redis_that_hangs_holds_nobody_for_good(
    process: Process, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call goes out when the time for Redis' answer is over."""
    one = process()
    learn(one, 60, 40)
    monkeypatch.setattr(shared, "PATIENCE", 0.1)
    other = process()
    os.kill(redis.pid, signal.SIGSTOP)
    assert isinstance(enter(other), Ticket)
    os.kill(redis.pid, signal.SIGCONT)
    assert isinstance(enter(one), Ticket)


def test_what_redis_kept_meanwhile_is_not_forgotten(
    process: Process, redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process alone is cut off for a while."""
    caplog.set_level(logging.INFO, logger="optillm_cerebras_cepo")
    one, other = process(), process()
    learn(one, 60, 40)
    with monkeypatch.context() as cut:
        cut.setattr(one._shared.client, "transaction", Mock(side_effect=RedisError("no route")))
        cut.setattr(one._shared.client, "time", Mock(side_effect=RedisError("no route")))
        assert isinstance(enter(one), Ticket)
        for _ in range(30):
            assert isinstance(enter(other), Ticket)
    until(lambda: "is back" in caplog.text)
    assert look(one).buckets[WINDOW].level < 15


def test_who_waits_when_redis_is_back_does_not_wait_for_ever(
    process: Process, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The little that this process saw a bucket hold meanwhile is forgotten as soon as the others' account is there."""
    caplog.set_level(logging.INFO, logger="optillm_cerebras_cepo")
    one = process()
    learn(one, 6000, 5000)
    redis.kill()
    enter(one)
    little = {WINDOW: Bucket(6000, 86_400, capacity=1, level=0, at=time.time())}
    one.change(lambda known, _: (replace(known, buckets=little), None))
    redis.start()
    until(lambda: "is back" in caplog.text)
    other = process()
    learn(other, 6000, 5000)
    assert isinstance(enter(one), Wait)
    full = {WINDOW: Bucket(6000, 86_400, capacity=6000, level=6000, at=time.time())}  # as it is a day later
    other.change(lambda known, _: (replace(known, buckets=full), None))
    assert isinstance(enter(one), Ticket)


def test_a_redis_that_never_was_is_done_without(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the start, and without the password in the log."""
    redis.kill()
    monkeypatch.setattr(shared, "PATIENCE", PATIENCE)
    one = Shared(f"redis://me:s3cret@127.0.0.1:{redis.port}/3")
    books = one.books(NAME, lambda now: limited({}, now))
    learn(books, 60, 40)
    assert look(books).buckets[WINDOW].limit == 60
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "s3cret" not in caplog.text
    one.close()


def test_a_redis_that_refuses_to_write_is_none(
    process: Process, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It answers, and goes on refusing: that is said once."""
    redis.client.config_set("maxmemory", 1)
    books = process(requests_minute=60)
    for _ in range(3):
        assert isinstance(enter(books), Ticket)
        time.sleep(0.1)  # two looks
    assert len(caplog.records) == 1
    redis.client.config_set("maxmemory", 0)
    until(lambda: bool(look(books) and redis.limits()))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        "http://:s3cret@127.0.0.1",
        "redis://:s3/cret@127.0.0.1:6379",
        "redis://:s3cret@127.0.0.1/?s3cret=1",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_repeated(url: str) -> None:
    """There may be a password in it."""
    with pytest.raises(BadConfiguration, match="CEPO_CEREBRAS_REDIS_URL must be") as caught:
        Shared(url)
    assert "s3" not in caught.value.message
