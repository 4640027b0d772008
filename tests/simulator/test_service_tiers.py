"""Service tiers: whose limits a call is charged to, what the reply says of it, and how long it may be queued."""

from __future__ import annotations

import pytest

from optillm_cerebras_cepo.simulator import RateLimits
from optillm_cerebras_cepo.simulator.limits import Limiter
from optillm_cerebras_cepo.simulator.problems import Refused
from simulator.conftest import Client, Start


def test_flex_has_limits_of_its_own() -> None:
    """Three times as large; `auto` goes there when the others are used up."""
    limiter = Limiter(RateLimits(requests_per_minute=2), lambda: 0.0)
    assert [limiter.admit("m", 1, tier="auto") for _ in range(4)] == ["default", "default", "flex", "flex"]
    assert [limiter.admit("m", 1, tier="flex") for _ in range(4)] == ["flex"] * 4
    for tier in (None, "default", "priority", "flex", "auto"):
        with pytest.raises(Refused):
            limiter.admit("m", 1, tier=tier)
    assert limiter.headers("m")["x-ratelimit-limit-requests-minute"] == "2"
    assert limiter.headers("m", flex=True)["x-ratelimit-limit-requests-minute"] == "6"


def test_a_reply_to_auto_names_its_tier(started: Start) -> None:
    """Other replies do not."""
    client = started(limits=RateLimits(requests_per_minute=1))
    named = [client.post(service_tier=tier).json().get("service_tier_used") for tier in ("auto", "auto", "flex")]
    assert named == ["default", "flex", None]


@pytest.mark.parametrize(("value", "status"), [("50", 200), ("20000", 200), ("49", 400), ("20001", 400), ("soon", 400)])
def test_a_queue_threshold_has_a_range(shared: Client, value: str, status: int) -> None:
    """In milliseconds."""
    body = {"model": "llama-3.3-70b", "messages": [{"role": "user", "content": "hello"}]}
    sent = shared.http.post("/v1/chat/completions", json=body, headers={"queue_threshold": value})
    assert sent.status_code == status
