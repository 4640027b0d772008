"""Redis' client is there for those who ask for it, and for nobody else."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from conftest import KEY
from support.replicas import replicas
from support.waiting import until

from optillm_cerebras_cepo.chat import Question
from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings import Settings
from optillm_cerebras_cepo.simulator.server import Simulator


def test_without_the_variable_nothing_of_redis_is_imported(simulate: Callable[..., Simulator]) -> None:
    """In a process of its own, which answers a request."""
    api = simulate()
    with replicas(api.url, 1, scale=1, clients=1, effort="none") as one:
        until(lambda: api.chat_calls)
    (told,) = one.told
    assert told.answered > 0
    assert not told.redis


def test_a_missing_client_is_named_with_what_installs_it(
    simulate: Callable[..., Simulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any call, in one line."""
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "optillm_cerebras_cepo.llm.shared", raising=False)
    api, runtime = simulate(), Runtime()
    settings = Settings(redis_url="redis://127.0.0.1")
    with pytest.raises(BadConfiguration) as caught:
        runtime.solve(Question("q"), settings, runtime.client(api.url, KEY))
    runtime.reset()
    assert "pip install 'optillm-cerebras-cepo[redis]'" in caught.value.message
    assert not api.chat_calls


def test_the_address_is_shown_nowhere() -> None:
    """There may be a password in it."""
    assert "s3cret" not in repr(Settings(redis_url="redis://:s3cret@127.0.0.1"))
