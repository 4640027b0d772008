"""One line in the server's log for each finished call. Counts and times, never texts."""

from __future__ import annotations

import logging

from optillm_cerebras_cepo.llm.trace import Span

PREFIX = "cepo_cerebras: "
logger = logging.getLogger("optillm_cerebras_cepo.progress")


def log(span: Span) -> None:
    """Log one call: a failed one as a warning, for it may be tried again."""
    if span.error is not None:
        logger.warning("%s%s failed after %.1f s: %s", PREFIX, span.label, span.seconds, span.error.message)
        return
    tokens = span.usage.completion_tokens if span.usage else None
    cut = " (cut at its limit)" if span.finish_reason == "length" else ""
    count = "unknown" if tokens is None else tokens
    logger.info("%s%s: %s tokens in %.1f s%s", PREFIX, span.label, count, span.seconds, cut)
