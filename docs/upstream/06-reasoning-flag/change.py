"""Let a request that switches reasoning off do that for itself only."""

from __future__ import annotations

import libcst.matchers as m
from tree import Checkout, assignment

COPY = "\ncepo_config = copy.copy(cepo_config)  # a refused reasoning effort is switched off for this request only\n"


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    source.expect("llm_call_reason_effort_fallback", assignment("cepo_config.use_reasoning"))
    last = m.SimpleStatementLine([m.Import([m.ImportAlias(m.Name("time"))])])  # of the standard library
    source.edit("", last, lambda line: [line, *source.statements("import copy\n")])
    source.begin("cepo", COPY)
