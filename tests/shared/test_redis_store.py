"""Limits in a real Redis: changed atomically, and no obstacle while it is unavailable."""

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

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.core.rate_limit_headers import Allowance
from optillm_cerebras_cepo.llm.rate_limits import redis_store
from optillm_cerebras_cepo.llm.rate_limits.limiter import LimitStore
from optillm_cerebras_cepo.llm.rate_limits.limits import Bucket, Cost, Limits, Permit, Wait, initial_limits
from optillm_cerebras_cepo.llm.rate_limits.redis_store import RedisConnection, RedisLimitStore
from optillm_cerebras_cepo.llm.rate_limits.windows import admit, record_reply

WINDOW = "requests-day"  # so long that nothing flows in while a test runs
NAME = ("https://api.cerebras.ai", KEY, "llama-3.3-70b")
Process = Callable[..., RedisLimitStore]


@pytest.fixture
def process(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    """Open the limits as one more process does, with these limits of the operator's.

    A Redis that is there is waited for, however loaded the machine; one that was away is found again soon.
    """
    monkeypatch.setattr(redis_store, "RECONNECT_INTERVAL", 0.05)
    monkeypatch.setattr(redis_store, "RESPONSE_TIMEOUT", PATIENCE)
    opened: list[RedisConnection] = []

    def open_one(**own: float) -> RedisLimitStore:
        opened.append(RedisConnection(redis.url))
        windows = {window.replace("_", "-"): limit for window, limit in own.items()}
        return opened[-1].open_store(NAME, lambda now: initial_limits(windows, now))

    yield open_one
    for one in opened:
        one.close()


def admit_call(store: LimitStore, tokens: float = 10) -> Permit | Wait:
    """Ask for one call."""
    return store.update(lambda known, now: admit(known, Cost(1, tokens), now))


def learn(store: LimitStore, limit: float, remaining: float) -> None:
    """Make a call whose reply states a limit."""
    ticket = admit_call(store)
    assert isinstance(ticket, Permit)
    quota = {"requests-minute": Allowance(60_000, 60_000), WINDOW: Allowance(limit, remaining)}
    store.update(lambda known, now: (record_reply(known, ticket, quota, now), None))


def look(store: LimitStore) -> Limits:
    """The limits as they stand."""
    return store.update(lambda known, _: (known, known))


def test_processes_share_what_they_learn(process: Process) -> None:
    """Limits and charges; every number is stored exactly, infinity as well."""
    one, other = process(), process()
    learn(one, 300, 42)
    assert look(other) == look(one)
    assert look(other).initial_window is None
    assert isinstance(admit_call(other), Permit)
    assert look(one).total_cost == Cost(2, 20)


def test_each_call_is_charged_once(process: Process) -> None:
    """Forty threads of four processes at once, on a limit of a hundred."""
    processes = [process(requests_minute=60_000, requests_day=100) for _ in range(4)]
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda number: admit_call(processes[number % 4]), range(200)))
    let_in = sum(isinstance(answer, Permit) for answer in answers)
    assert 99 <= let_in <= 100  # the last may have to wait for the margin
    assert look(processes[0]).total_cost.requests == let_in


def test_processes_share_the_initial_window(process: Process) -> None:
    """Four calls in all, not four for each process."""
    answers = [admit_call(store) for store in [process() for _ in range(3)] for _ in range(3)]
    assert sum(isinstance(answer, Permit) for answer in answers) == 4


def test_initial_calls_of_a_dead_process_expire(
    process: Process, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for them does not extend the time."""
    assert redis_store.INITIAL_LIMITS_TTL == 60
    monkeypatch.setattr(redis_store, "INITIAL_LIMITS_TTL", 6_000)
    died, other = process(), process()
    for _ in range(4):
        admit_call(died)
    (key,) = redis.limits()
    assert 5_000 < redis.client.ttl(key) <= 6_000
    redis.client.expire(key, 3_000)
    assert isinstance(admit_call(other), Wait)
    assert look(other).initial_window == 0
    assert redis.client.ttl(key) <= 3_000
    redis.client.delete(key)  # as it does when its time is over
    assert isinstance(admit_call(other), Permit)


def test_learned_limits_expire_after_a_day(process: Process, redis: RedisServer) -> None:
    """By then every window is full again."""
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


def test_unreadable_limits_are_replaced(process: Process, redis: RedisServer) -> None:
    """Another version may have written them."""
    store = process()
    learn(store, 300, 42)
    (key,) = redis.limits()
    redis.client.set(key, b'{"buckets": "many"}')
    assert look(process()).buckets == {}
    learn(store, 300, 40)
    assert look(process()).buckets[WINDOW].limit == 300


def test_new_operator_limit_applies_at_once(process: Process) -> None:
    """Although another one is stored."""
    assert isinstance(admit_call(process(requests_minute=300)), Permit)
    after = process(requests_minute=5)
    assert look(after).operator_limits["requests-minute"].limit == 5


def test_process_uses_its_share_while_redis_is_unavailable(
    process: Process, redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It logs the loss and the return once each; what it charged meanwhile counts for all."""
    caplog.set_level(logging.INFO, logger="optillm_cerebras_cepo")
    one, other = process(), process()
    learn(one, 60, 40)
    learn(other, 60, 39)
    monkeypatch.setattr(redis_store, "HEARTBEAT_INTERVAL", 0.0)  # or one would hear of the other only after two seconds
    look(one)
    redis.kill()
    alone = [admit_call(one) for _ in range(25)]
    assert 19 <= sum(isinstance(answer, Permit) for answer in alone) <= 21  # half of what was left
    assert look(one).buckets[WINDOW].limit == 30
    redis.start()
    until(lambda: "is available again" in caplog.text)
    assert look(one).buckets[WINDOW].limit == 60
    until(lambda: bool(redis.limits()))
    assert look(other).buckets[WINDOW].level < 6
    where = f"127.0.0.1:{redis.port}"
    assert [record.getMessage() for record in caplog.records] == [
        f"Redis at {where} is unavailable (ConnectionError): this process uses 1/2 of the limits",
        f"Redis at {where} is available again: the limits are shared",
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_hanging_redis_does_not_block_calls(
    process: Process, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call goes out after the response time-out."""
    one = process()
    learn(one, 60, 40)
    monkeypatch.setattr(redis_store, "RESPONSE_TIMEOUT", 0.1)
    other = process()
    os.kill(redis.pid, signal.SIGSTOP)
    assert isinstance(admit_call(other), Permit)
    os.kill(redis.pid, signal.SIGCONT)
    assert isinstance(admit_call(one), Permit)


def test_limits_in_redis_are_merged_after_a_disconnect(
    process: Process, redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one process is cut off for a while."""
    caplog.set_level(logging.INFO, logger="optillm_cerebras_cepo")
    one, other = process(), process()
    learn(one, 60, 40)
    with monkeypatch.context() as cut:
        cut.setattr(one._connection.client, "transaction", Mock(side_effect=RedisError("no route")))
        cut.setattr(one._connection.client, "time", Mock(side_effect=RedisError("no route")))
        assert isinstance(admit_call(one), Permit)
        for _ in range(30):
            assert isinstance(admit_call(other), Permit)
    until(lambda: "is available again" in caplog.text)
    assert look(one).buckets[WINDOW].level < 15


def test_waiting_call_goes_out_after_redis_is_back(
    process: Process, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The low level that this process observed alone is forgotten once the limits are merged."""
    caplog.set_level(logging.INFO, logger="optillm_cerebras_cepo")
    one = process()
    learn(one, 6000, 5000)
    redis.kill()
    admit_call(one)
    little = {WINDOW: Bucket(6000, 86_400, capacity=1, level=0, at=time.time())}
    one.update(lambda known, _: (replace(known, buckets=little), None))
    redis.start()
    until(lambda: "is available again" in caplog.text)
    other = process()
    learn(other, 6000, 5000)
    assert isinstance(admit_call(one), Wait)
    full = {WINDOW: Bucket(6000, 86_400, capacity=6000, level=6000, at=time.time())}  # as it is a day later
    other.update(lambda known, _: (replace(known, buckets=full), None))
    assert isinstance(admit_call(one), Permit)


def test_process_works_without_redis_from_the_start(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And logs no password."""
    redis.kill()
    monkeypatch.setattr(redis_store, "RESPONSE_TIMEOUT", PATIENCE)
    one = RedisConnection(f"redis://me:s3cret@127.0.0.1:{redis.port}/3")
    store = one.open_store(NAME, lambda now: initial_limits({}, now))
    learn(store, 60, 40)
    assert look(store).buckets[WINDOW].limit == 60
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "s3cret" not in caplog.text
    one.close()


def test_redis_that_refuses_writes_counts_as_unavailable(
    process: Process, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Logged once."""
    redis.client.config_set("maxmemory", 1)
    store = process(requests_minute=60)
    for _ in range(3):
        assert isinstance(admit_call(store), Permit)
        time.sleep(0.1)  # two looks
    assert len(caplog.records) == 1
    redis.client.config_set("maxmemory", 0)
    until(lambda: bool(look(store) and redis.limits()))


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
def test_invalid_address_is_refused_without_being_quoted(url: str) -> None:
    """It may contain a password."""
    with pytest.raises(BadConfiguration, match="CEPO_CEREBRAS_REDIS_URL must be") as caught:
        RedisConnection(url)
    assert "s3" not in caught.value.message
