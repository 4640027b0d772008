"""The Redis client is imported only if it is configured."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from conftest import KEY
from support.replicas import replicas
from support.solving import solve
from support.waiting import until

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator.server import Simulator


def test_redis_is_not_imported_without_the_setting(simulate: Callable[..., Simulator]) -> None:
    """In a separate process that answers a request."""
    api = simulate()
    with replicas(api.url, 1, scale=1, clients=1, effort="none") as one:
        until(lambda: api.chat_calls)
    (told,) = one.told
    assert told.answered > 0
    assert not told.redis


def test_error_for_a_missing_client_says_how_to_install_it(
    simulate: Callable[..., Simulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any call, in one line."""
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "optillm_cerebras_cepo.llm.rate_limits.redis_store", raising=False)
    api, runtime = simulate(), Runtime()
    settings = Settings(redis_url="redis://127.0.0.1")
    with pytest.raises(BadConfiguration) as caught:
        solve(runtime, Question("q"), settings, runtime.client(api.url, KEY))
    runtime.reset()
    assert "pip install 'redis>=5,<9'" in caught.value.message
    assert not api.chat_calls


def test_address_is_not_shown() -> None:
    """It may contain a password."""
    assert "s3cret" not in repr(Settings(redis_url="redis://:s3cret@127.0.0.1"))
