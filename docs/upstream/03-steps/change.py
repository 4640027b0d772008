"""Use each step's own temperature and token limit in CePO."""

from __future__ import annotations

from checkout import Checkout

COMPLETION, PLAN = "generate_completion", "generate_completion.generate_single_plan"


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    for parameter in ("max_tokens", "temperature"):
        setting = rf'"{parameter}": cepo_config\.planning_{parameter}_step'
        # The code has the steps in this order: plan, execution, review of all plans, final answer.
        steps = iter("1234")
        source.sub(COMPLETION, f"({setting})1", lambda match, steps=steps: match[1] + next(steps), times=4)
        source.expect(PLAN, f"{setting}[12]", times=2)
        source.expect(COMPLETION, rf"planning_max_tokens_step4 != 0:\n(?:.*\n)*?.*{setting}4")
