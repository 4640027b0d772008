"""One line for each thing that happens to a request: in the server's log, and in the client's stream."""

from __future__ import annotations

import logging

from optillm_cerebras_cepo.events import Agreed, Called, Event, Rated, Waits

PREFIX = "cepo_cerebras: "
logger = logging.getLogger("optillm_cerebras_cepo.progress")


def line(event: Event) -> str:
    """Say it in a few words. Counts and times, never texts."""
    match event:
        case Called():
            if event.error is not None:
                return f"{event.label} failed after {event.seconds:.1f} s: {event.error.message}"
            tokens = event.usage.completion_tokens if event.usage else None
            cut = " (cut at its limit)" if event.finish_reason == "length" else ""
            count = "unknown" if tokens is None else tokens
            return f"{event.label}: {count} tokens in {event.seconds:.1f} s{cut}"
        case Waits():
            return f"{event.label} waits {event.seconds:.1f} s: {event.error.message}"
        case Agreed():
            return f"candidate {event.candidate}: {event.agreeing} of {event.plans} plans agree"
        case Rated():
            return f"candidate {event.candidate}: {'no rating' if event.rating is None else f'rated {event.rating:g}'}"


def log(event: Event, request_id: str | None = None) -> None:
    """Log it: a failed call as a warning, for it may be tried again. The id, where there is one, is for a JSON log."""
    failed = isinstance(event, Called) and event.error is not None
    extra = {"request_id": request_id} if request_id else None
    logger.log(logging.WARNING if failed else logging.INFO, "%s%s", PREFIX, line(event), extra=extra)
