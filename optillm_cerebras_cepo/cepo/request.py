"""One request, and what its threads note while they work on it: failures, the kinds and durations of its calls.

A kind of call is that of one model and step whose replies have similar lengths, which are learned by kind
(`llm/metering.py`). A limit that was learned from the shorter replies of another kind would cut a reply, and
a cut reply costs a second call.
"""

from __future__ import annotations

import json
import math
import statistics
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

from optillm_cerebras_cepo.core.chat import Label, Parameters, Question, Step
from optillm_cerebras_cepo.core.events import Observer, ignore
from optillm_cerebras_cepo.response_format import RequestedFormat
from optillm_cerebras_cepo.settings.declaration import Settings

# Variants of a step's prompt.
LAST_RESORT = "last resort"  # a candidate's direct answer, when it has no plan
PASSTHROUGH = "passthrough"
UNPLANNED = "without a plan"

# Options that do not change the length of a reply.
NEUTRAL = frozenset({"top_p", "seed", "user"})

NEXT_CALL_FACTOR = 1.25  # of the longest call's duration, for the next may take longer
KEPT_AT_FIRST = 0.1  # share of a request's time that is kept for the answer before the first call is finished
KEPT_AT_MOST = 0.25  # share of a request's time that is kept for the answer at most
CHOOSING = 0.02  # share of a request's time that is kept for choosing an answer and sending it
CHOOSING_AT_MOST = 1.0  # seconds


def variant_of(step: Step, settings: Settings) -> str:
    """Return which of the step's prompts these settings choose; empty for a step that has only one."""
    if step is Step.RATING:
        return settings.bestofn_rating_type
    return UNPLANNED if step is Step.EXECUTE and not settings.planning_max_tokens_step1 else ""


def kind_of(variant: str, max_tokens: int, options: Mapping[str, Any]) -> str:
    """Return the unique name of a call's kind. It contains no text of the client's.

    Args:
        variant: the variant of the step's prompt; see `variant_of`.
        max_tokens: the reply limit that the call asks for.
        options: the call's further fields: stop sequences, a response format, tools.

    """
    shaping = {name: value for name, value in options.items() if name not in NEUTRAL}
    digest = blake2b(json.dumps(shaping, sort_keys=True).encode(), digest_size=12).hexdigest() if shaping else ""
    return " ".join(filter(None, (variant, str(max_tokens), digest)))


class CallTimes:
    """Durations in seconds of one request's calls, waits included. Thread-safe, because `list.append` is atomic.

    Args:
        before: median duration in the previous request, without waits; None if it is not known.

    """

    def __init__(self, before: float | None = None) -> None:
        self._before = before
        self._seen: list[float] = []

    def add(self, seconds: float) -> None:
        """Add the duration of an answered call."""
        self._seen.append(seconds)

    @property
    def longest(self) -> float | None:
        """Longest duration; None before the first call."""
        return max(self._seen, default=None)

    @property
    def usual(self) -> float | None:
        """Median duration of this request's calls; before the first call, that of the previous request, or None."""
        return statistics.median(self._seen) if self._seen else self._before


def kept_for_choosing(seconds: float) -> float:
    """Return the seconds that each step leaves for choosing and sending; `seconds` are those of the whole request."""
    return 0.0 if math.isinf(seconds) else min(CHOOSING_AT_MOST, CHOOSING * seconds)


def kept_for_answer(seconds: float, longest: float | None) -> float:
    """Return the seconds that the steps before the answer leave for one more call.

    Args:
        seconds: of the whole request.
        longest: duration of its longest call so far; None before the first.

    """
    if math.isinf(seconds):
        return 0.0
    wanted = KEPT_AT_FIRST * seconds if longest is None else NEXT_CALL_FACTOR * longest
    return min(wanted, KEPT_AT_MOST * seconds) + kept_for_choosing(seconds)


@dataclass(frozen=True)
class CepoRequest:
    """A question, what the client wants of its answer, and the settings to answer it with."""

    question: Question
    settings: Settings
    parameters: Parameters = field(default_factory=Parameters)
    response_format: RequestedFormat | None = None

    @cached_property
    def cache_key(self) -> str | None:
        """What all calls of the request, and of later turns of its conversation, send as `prompt_cache_key`.

        It is a digest of the conversation's beginning; None if the setting is off.
        """
        if not self.settings.cache_keys:
            return None
        question = self.question
        if question.passthrough:
            first = [message.wire() for message in question.passthrough.messages]
            opening = first[: 1 + next((place for place, turn in enumerate(first) if turn["role"] == "user"), 0)]
        else:
            user = question.history[0].wire() if question.history else {"role": "user", "content": question.text}
            opening = [{"role": "system", "content": question.system}, user]
        return blake2b(json.dumps(opening).encode(), digest_size=16).hexdigest()


class Notes:
    """Lines without duplicates, in the order in which they were added. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, None] = {}

    def add(self, *lines: str) -> None:
        """Add lines; skip those that are there already."""
        with self._lock:
            self._lines.update(dict.fromkeys(lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines so far."""
        with self._lock:
            return tuple(self._lines)


class SeedOffsets:
    """Offsets that give equal prompts different seeds: calls counted by candidate and step. Thread-safe."""

    PER_CANDIDATE = 1000  # no candidate makes more calls of one step

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Counter[Label] = Counter()

    def next(self, label: Label) -> int:
        """Return an offset that no other call of this step gets. The same order of calls gives the same offsets."""
        with self._lock:
            self._made[label] += 1
            return self.PER_CANDIDATE * label.candidate + self._made[label] - 1


@dataclass(frozen=True)
class RequestTracker:
    """What is noted of a request while it runs; shared by all of its threads."""

    observer: Observer = ignore  # receives progress events
    degraded: Notes = field(default_factory=Notes)  # what failed and was left out
    fitted: Notes = field(default_factory=Notes)  # what of a call was changed to suit the model
    call_times: CallTimes = field(default_factory=CallTimes)  # durations of the answered calls
    seed_offsets: SeedOffsets = field(default_factory=SeedOffsets)  # calls by candidate and step
