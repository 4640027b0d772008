"""Spans of OpenTelemetry as a tree, whose nodes are found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan


class Spans:
    """The spans that have ended so far.

    Args:
        ended: returns them.

    """

    def __init__(self, ended: Callable[[], Sequence[ReadableSpan]]) -> None:
        self._ended = ended

    @property
    def all(self) -> list[ReadableSpan]:
        """Every span, in the order in which they began."""
        return sorted(self._ended(), key=period)

    @property
    def root(self) -> ReadableSpan:
        """The one span that has no parent among these."""
        ids = {span.context.span_id for span in self.all}
        (root,) = [span for span in self.all if span.parent is None or span.parent.span_id not in ids]
        return root

    def below(self, parent: ReadableSpan) -> list[ReadableSpan]:
        """Return the children of a span."""
        return [span for span in self.all if span.parent and span.parent.span_id == parent.context.span_id]

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of this name."""
        return [span for span in self.all if span.name == name]

    def tree(self, parent: ReadableSpan | None = None) -> list[str]:
        """Return a line for each span: how deep it lies, by two spaces each, and its name."""
        parent = parent or self.root
        below = [f"  {line}" for child in self.below(parent) for line in self.tree(child)]
        return [parent.name, *below]


def period(span: ReadableSpan) -> tuple[int, int]:
    """Return when a span began and ended, in ns."""
    assert span.start_time is not None
    assert span.end_time is not None
    return span.start_time, span.end_time


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Return a span's attributes."""
    return dict(span.attributes or {})


def ours(span: ReadableSpan) -> dict[str, Any]:
    """Return a span's attributes with our prefix, without it."""
    found = attributes(span)
    return {
        name.removeprefix("cepo_cerebras."): value for name, value in found.items() if name.startswith("cepo_cerebras.")
    }


def events(span: ReadableSpan) -> list[tuple[str, dict[str, Any]]]:
    """Return name and attributes of a span's events."""
    return [(event.name, dict(event.attributes or {})) for event in span.events]
