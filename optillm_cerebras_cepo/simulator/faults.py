"""Faults of calls as the client sees them on the wire, and their probabilities."""

from __future__ import annotations

import difflib
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from . import problems
from .problems import Reply

Fault = Literal[
    "request_quota",
    "request_quota_day",
    "token_quota",
    "token_quota_day",
    "queue_exceeded",
    "500",
    "502",
    "503",
    "close",
    "reset",
    "cut",
    "reset_body",
    "wrong_length",
    "short_length",
    "hang",
    "trickle",
    "invalid_json",
    "html",
    "empty_content",
    "null_content",
    "no_choices",
    "null_choices",
    "no_usage",
    "length",
    "content_filter",
    "duplicate_headers",
    "no_tool_index",
    "one_tool_index",
]

FAULTS: Mapping[Fault, str] = MappingProxyType(
    {
        "request_quota": "429, requests per minute, regardless of the limits; not charged",
        "request_quota_day": "429, requests per day; not charged",
        "token_quota": "429, tokens per minute; not charged",
        "token_quota_day": "429, tokens per day; not charged",
        "queue_exceeded": "429, no capacity; not charged",
        "500": "500 with an error body of the API",
        "502": "502 with the HTML page of a gateway",
        "503": "503 with an error body of the API",
        "close": "the connection is closed (FIN) in place of a reply",
        "reset": "the connection is reset (RST) in place of a reply",
        "cut": "the connection is closed in the middle of the body, or of the stream",
        "reset_body": "the connection is reset in the middle of the body, or of the stream",
        "wrong_length": "Content-Length is larger than the body, and the connection closed after it; a stream is cut",
        "short_length": "Content-Length is half of what is sent, the rest follows it; a stream is cut",
        "hang": "no reply, until the client leaves",
        "trickle": "the whole reply, one byte a (simulated) second",
        "invalid_json": "200 with half of the JSON as its whole body; of a stream, one event is half",
        "html": "200 with the HTML page of a gateway",
        "empty_content": "an empty text, finish_reason and usage as if it were whole",
        "null_content": "a text that is null, finish_reason and usage as if it were whole; a stream without text",
        "no_choices": "`choices: []`, and usage",
        "null_choices": "`choices: null`, and usage",
        "no_usage": "the whole text without usage; the API counts it",
        "length": "half of the text, finish_reason `length`, and its usage",
        "content_filter": "half of the text, finish_reason `content_filter`, and its usage",
        "duplicate_headers": "the whole reply with Content-Type and every x-ratelimit header twice",
        "no_tool_index": "the pieces of streamed tool calls without `index`; each call's pieces follow each other",
        "one_tool_index": "the pieces of all streamed tool calls with `index: 0`",
    }
)
"""Each fault on the wire. Two Content-Length headers are not included: clients treat them as an attack."""

REFUSALS: Mapping[str, Reply] = MappingProxyType(
    {
        "request_quota": problems.request_quota_exceeded("minute"),
        "request_quota_day": problems.request_quota_exceeded("day"),
        "token_quota": problems.token_quota_exceeded("minute"),
        "token_quota_day": problems.token_quota_exceeded("day"),
        "queue_exceeded": problems.queue_exceeded(),
    }
)
"""Replies of faults that occur before admission, so that nothing is charged."""

REPLIES: Mapping[str, Reply] = MappingProxyType(
    {
        "500": problems.internal_error(),
        "502": problems.gateway_page(502),
        "503": problems.unavailable(),
        "html": problems.gateway_page(200),
    }
)
"""Replies of faults that occur after admission."""


@dataclass(frozen=True)
class Faults:
    """Probabilities of random faults; each call has at most one.

    `shares` maps faults to probabilities from 0 to 1 with a sum of at most 1; `seed` makes the sequence repeatable.
    Raise ValueError for unknown faults and invalid probabilities.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, share in self.shares.items():
            if name not in FAULTS:
                close = difflib.get_close_matches(name, FAULTS, n=1)
                raise ValueError(f"unknown fault {name!r}; " + (f"did you mean {close[0]!r}?" if close else KNOWN))
            if not 0 <= share <= 1:
                raise ValueError(f"the share of {name} must be from 0 to 1, not {share}")
        # The sum of ten times 0.1 is slightly above 1.
        if sum(self.shares.values()) > 1 + 1e-9:
            raise ValueError(
                f"the shares of all faults must have a sum of at most 1, not {sum(self.shares.values()):g}"
            )


KNOWN = f"known: {', '.join(get_args(Fault))}"


class FaultSampler:
    """Draws the faults of successive calls."""

    def __init__(self, faults: Faults) -> None:
        self._random = random.Random(f"faults {faults.seed}")
        self._names = tuple(faults.shares)
        self._bounds = tuple(itertools.accumulate(faults.shares.values()))

    def draw(self) -> Fault | None:
        """Return the next call's fault, or None."""
        point = self._random.random()
        for name, bound in zip(self._names, self._bounds, strict=True):
            if point < bound:
                return next(fault for fault in FAULTS if fault == name)
        return None


def parse_faults(pairs: Sequence[str], seed: int) -> Faults:
    """Return the faults of pairs such as `queue_exceeded=0.4`. Raise ValueError for invalid pairs."""
    shares: dict[str, float] = {}
    for pair in pairs:
        name, _, share = (part.strip() for part in pair.partition("="))
        try:
            shares[name] = float(share)
        except ValueError:
            raise ValueError(f"fault: {name} needs a share from 0 to 1, not {share!r}") from None
    return Faults(shares, seed)
