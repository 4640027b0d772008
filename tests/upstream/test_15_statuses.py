"""A defect of what OptiLLM makes of an API's error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest
from support.defects import defect

from optillm_cerebras_cepo.simulator import Rule, Simulator
from optillm_cerebras_cepo.simulator.problems import Reply

Simulate = Callable[..., Simulator]


@defect
def test_every_error_is_a_500(simulate: Simulate, ask_cepo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API's own status, and in OpenAI's shape, which says whether and when to try again."""
    monkeypatch.setitem(server.server_config, "approach", "none")
    wait = {"retry-after": "7", "x-should-retry": "false"}
    limited = Reply(429, {"message": "slow down", "code": "request_quota_exceeded"}, wait)
    response = ask_cepo(simulate(rules=(Rule(reply=limited),)))()
    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
    assert response.get_json()["error"]["code"] == "request_quota_exceeded"
