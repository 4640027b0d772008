"""A defect of the client that OptiLLM gives to approaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest
from support.defects import defect

from optillm_cerebras_cepo.simulator import Simulator


@defect
def test_a_client_is_built_for_each_request(
    simulate: Callable[..., Simulator], ask_cepo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests one after another have one client: it warms up once, and they come over one connection."""
    monkeypatch.setitem(server.server_config, "approach", "none")
    api = simulate()
    ask = ask_cepo(api)
    assert [ask().status_code for _ in range(3)] == [200, 200, 200]
    assert len(api.chat_calls) == 3
    assert (api.warmings, api.connections) == (1, 1)
