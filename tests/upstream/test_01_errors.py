"""A defect of OptiLLM's calls of the model: what becomes of one that fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.defects import defect

from optillm_cerebras_cepo.simulator import FAULTS, Fault, Reply, Rule, Simulator

Simulate = Callable[..., Simulator]
CALLS = 4  # of one candidate with one plan: plan, execution, review, final answer
STEPS = Rule(text=("A plan.", "A solution.", "A review.", "An answer."))
FAULTY: tuple[Fault, ...] = ("request_quota", "queue_exceeded", "500", "502", "503", "close", "reset")
REFUSED = Reply(400, {"message": "?", "type": "invalid_request_error", "param": "?", "code": "wrong_api_format"})


@defect
def test_no_error_of_cerebras_is_caught(simulate: Simulate, run_cepo: Any) -> None:
    """A call that fails once is made again, and one that fails for good does not take the others along."""
    assert {*FAULTY} <= {*FAULTS}
    for broken in (*(Rule(times=1, fault=fault) for fault in FAULTY), Rule(times=1, reply=REFUSED)):
        api = simulate(rules=(broken, STEPS))
        assert run_cepo(api, bestofn_rating_type="majority", num_of_retries=1)[0] == "An answer."
        assert len(api.chat_calls) == 1 + CALLS

    # The prompt of the final answer holds the review.
    api = simulate(rules=(Rule("A review", fault="500"), STEPS))
    assert run_cepo(api, bestofn_rating_type="majority")[0] == "A review."
    assert len(api.chat_calls) == CALLS

    # A model that takes no reasoning effort says so once, and is asked the same again.
    api = simulate(rules=(STEPS,))
    assert run_cepo(api, bestofn_rating_type="majority", use_reasoning=True)[0] == "An answer."
    assert [call.status for call in api.chat_calls] == [400] + CALLS * [200]
