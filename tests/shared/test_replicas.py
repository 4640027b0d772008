"""Four processes with one key stay below its limit together, with Redis and without.

How much of a limit they use is measured in `bench/shared.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from bench.api import simulated
from support.redis_server import RedisServer
from support.replicas import replicas
from support.waiting import PATIENCE, until

pytestmark = pytest.mark.slow

SLOW = 0.001  # API seconds in a real one, so that nothing is refilled during the test
UNAVAILABLE = (
    r"Redis at 127\.0\.0\.1:\d+ is unavailable \(\w+\): this process uses (1/\d of the limits|the limits by itself)"
)
AVAILABLE = r"Redis at 127\.0\.0\.1:\d+ is available again: the limits are shared"


@pytest.mark.parametrize(("limit", "clients"), [(60, 6), (5, 3)], ids=["many", "fewer than are asked for at once"])
def test_four_processes_share_one_limit(redis: RedisServer, limit: int, clients: int) -> None:
    """Each calls until it would have to wait; together they make as many calls as the limit allows.

    The last call may have to wait for the margin.
    """
    with simulated(f"--limits=requests_per_minute={limit}", f"--time-scale={SLOW}") as one:
        asking: dict[str, Any] = {
            "scale": SLOW,
            "clients": clients,
            "effort": "none",
            "until_refused": True,
            "patience": PATIENCE,
        }
        with replicas(one.url, redis_url=redis.url, **asking) as four:
            until(lambda: len(four.told) == 4)
        calls = one.calls()
    assert limit - 1 <= sum(told.answered for told in four.told) <= limit
    assert Counter(call.status for call in calls)[200] == sum(told.answered for told in four.told)
    errors = [error for told in four.told for error in told.errors]
    assert len(errors) == 4 * clients
    assert {error.partition(" for ")[0] for error in errors} == {
        f"RateLimited: the limit of {limit} requests a minute is used up"
    }
    assert four.logged == []


def test_processes_continue_without_redis_and_share_again_with_it(redis: RedisServer) -> None:
    """Redis is killed with its data: each process logs the loss and the return once, and no request is lost."""
    with simulated("--limits=requests_per_minute=6000", "--latency=0.05") as one:
        asking: dict[str, Any] = {
            "scale": 1.0,
            "clients": 2,
            "effort": "none",
            "call_attempts": 50,
            "patience": PATIENCE,
        }
        with replicas(one.url, redis_url=redis.url, **asking) as four:
            until(lambda: redis.processes() == 4)
            redis.kill()
            until(lambda: len(four.logged) == 4)
            redis.start()
            until(lambda: len(four.logged) == 8)
            until(lambda: redis.processes() == 4)
    assert [told.errors for told in four.told] == [[]] * 4
    for told in four.told:
        (away, back) = told.log
        assert away[0] == "WARNING"
        assert re.fullmatch(UNAVAILABLE, away[1])
        assert back[0] == "INFO"
        assert re.fullmatch(AVAILABLE, back[1])
