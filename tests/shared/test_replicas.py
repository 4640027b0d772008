"""Four processes with one key: under its limit together, whether their Redis lives or not."""

from __future__ import annotations

import time

import pytest
from bench.api import Api, Call, simulated
from support.redis_server import RedisServer
from support.replicas import replicas
from support.waiting import until

from optillm_cerebras_cepo.llm.shared import BEAT

SCALE = 6.0  # so many of the API's seconds in a real one
LIMIT = "--limits=requests_per_minute=300,burst=60"
RATE = 300 / 60 * SCALE  # requests in a real second
COLD = 3.0  # seconds after which the bucket that was full at the start is used up
FOUR = {"scale": SCALE, "clients": 6, "effort": "none"}

pytestmark = [pytest.mark.slow, pytest.mark.alone]


def between(calls: list[Call], start: float, end: float) -> float:
    """Calls that were let in within this time, as a share of what the limit lets in."""
    return sum(call.status == 200 for call in calls if start <= call.started < end) / (RATE * (end - start))


def refused(calls: list[Call]) -> float:
    """Calls that met the limit, as a share of all."""
    return sum(call.status == 429 for call in calls) / len(calls)


def api() -> Api:
    """A simulated API in a process of its own."""
    return simulated(LIMIT, f"--time-scale={SCALE}", seconds=0.5)


def test_four_processes_use_one_limit_and_keep_it(redis: RedisServer) -> None:
    """At least 95 % of it, hardly a call refused, no request lost."""
    with api() as one, replicas(one.url, redis_url=redis.url, **FOUR) as four:
        time.sleep(COLD + 5)
        over = time.monotonic()
        calls = one.calls()
    assert between(calls, four.began + COLD, over) >= 0.95
    assert refused(calls) <= 0.02
    assert [told.errors for told in four.told] == [[]] * 4
    assert [told.log for told in four.told] == [[]] * 4
    assert min(told.answered for told in four.told) > 10  # each of them


def test_without_redis_they_go_on_and_with_it_they_share_again(redis: RedisServer) -> None:
    """Killed in the middle, with all that it knew: each says so once, and once that it is back."""
    with api() as one, replicas(one.url, redis_url=redis.url, **FOUR) as four:
        until(lambda: redis.processes() == 4)
        time.sleep(max(COLD, 2 * BEAT))  # each has heard of the others
        killed = time.monotonic()
        redis.kill()
        time.sleep(4)
        started = time.monotonic()
        redis.start()
        until(lambda: redis.processes() == 4)
        back = time.monotonic()
        time.sleep(3)
        over = time.monotonic()
        calls = one.calls()
    assert between(calls, killed, started) >= 0.9
    assert between(calls, back, over) >= 0.9
    assert refused(calls) <= 0.02
    assert [told.errors for told in four.told] == [[]] * 4
    for told in four.told:
        (away, there) = told.log
        assert away[0] == "WARNING"
        assert away[1].endswith("this process keeps to 1/4 of the limits by itself")
        assert there == ["INFO", f"Redis at 127.0.0.1:{redis.port} is back: the limits are shared again"]


def test_a_cold_start_of_four_does_not_burst(redis: RedisServer) -> None:
    """5 requests a minute, which nobody has told them, and twice as many clients."""
    limit = "--limits=requests_per_minute=5"
    with simulated(limit, "--time-scale=60", seconds=0.5) as one:
        with replicas(one.url, redis_url=redis.url, scale=60.0, clients=3, effort="none") as four:
            time.sleep(3)
        calls = one.calls()
    assert [call.status for call in calls if call.status != 200] == []
    assert sum(told.answered for told in four.told) == len(calls) >= 5 + 12
    assert [told.errors for told in four.told] == [[]] * 4
