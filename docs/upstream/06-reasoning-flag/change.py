"""Switch reasoning off for one request only."""

from __future__ import annotations

from checkout import Checkout

COPY = "\ncepo_config = copy.copy(cepo_config)  # a refused reasoning effort is switched off for this request only\n"


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    source.expect("llm_call_reason_effort_fallback", r"cepo_config\.use_reasoning = ")
    source.sub("", r"^import time\n", r"\g<0>import copy\n")
    source.begin("cepo", COPY)
