"""A Redis of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.redis_server import RedisServer, redis_server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """Start one; it stops with the test."""
    with redis_server() as server:
        yield server
