"""Layers that limit and count the tokens of calls.

One lowers a call's limit to the usual length of its reply, one raises it if reasoning has used it up, one takes the
call from the budget, one counts it, one reports and records it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from operator import add

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion, Label, Step
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import CallFinished, Observer
from optillm_cerebras_cepo.core.prices import Price
from optillm_cerebras_cepo.llm.models import lookup

WINDOW = 200  # remembered calls of each kind
KINDS = 500  # remembered kinds: clients create them, so their number is bounded
KNOWN = 8  # replies of a kind before its lengths are used
SHARE = 0.95  # of the remembered replies that must fit
REPLY_MARGIN = 1.25  # factor on the length that fits them
REASONING_FACTOR = 4  # of the token limit of a call whose reasoning has used it up


class RecentCalls:
    """A number for each recent call, by model, step and `Label.kind`. Safe for many threads.

    Beyond `KINDS` kinds, the kind whose last call is the oldest is forgotten.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: OrderedDict[tuple[str, Step, str], deque[float]] = OrderedDict()

    def record(self, model: str, label: Label, value: float) -> None:
        """Remember a call's number."""
        kind = (model, label.step, label.kind)
        with self._lock:
            self._values.setdefault(kind, deque(maxlen=WINDOW)).append(value)
            self._values.move_to_end(kind)
            if len(self._values) > KINDS:
                self._values.popitem(last=False)

    def of(self, model: str, label: Label) -> tuple[float, ...]:
        """Return the numbers of recent calls of this kind, in order."""
        with self._lock:
            return tuple(self._values.get((model, label.step, label.kind), ()))


class ReplyLengths:
    """Lengths of replies in tokens, by kind of call. Safe for many threads."""

    def __init__(self) -> None:
        self._lengths = RecentCalls()

    def record(self, model: str, label: Label, tokens: int) -> None:
        """Remember a reply's length."""
        self._lengths.record(model, label, tokens)

    def max_tokens_for(self, model: str, label: Label) -> int | None:
        """Return a limit that fits nearly every reply of this kind; None for fewer than `KNOWN` replies."""
        lengths = sorted(self._lengths.of(model, label))
        return ceil(lengths[ceil(SHARE * len(lengths)) - 1] * REPLY_MARGIN) if len(lengths) >= KNOWN else None

    def mean(self, model: str, label: Label) -> int | None:
        """Return the mean length of replies of this kind; None for fewer than `KNOWN` replies."""
        lengths = self._lengths.of(model, label)
        return ceil(sum(lengths) / len(lengths)) if len(lengths) >= KNOWN else None


@dataclass(frozen=True)
class AdaptiveMaxTokens:
    """Layer that lowers a call's limit to the usual length of such replies.

    Cerebras charges a call's whole `max_completion_tokens` against the tokens per minute when it admits the call,
    whatever the reply then takes: a limit of 4096 for replies of 400 tokens uses ten times as much. So each call's
    limit is what recent replies of its kind (model, step and `Label.kind`) took, plus a margin. A reply that is cut
    there is requested again with the whole limit.
    """

    inner: ChatClient
    lengths: ReplyLengths

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, never cut below the request's own limit. Raises what the inner client raises."""
        limit = self.lengths.max_tokens_for(request.model, request.label)
        # A reply that is streamed to a listener cannot be requested again.
        lowered = limit is not None and limit < request.max_tokens and request.listener is None
        completion = self.inner.complete(replace(request, max_tokens=limit) if lowered and limit else request)
        if lowered and completion.finish_reason == "length":
            completion = self.inner.complete(request)
        tokens = completion.usage.completion_tokens
        if tokens is not None and completion.finish_reason != "length":  # the full length of a cut reply is unknown
            self.lengths.record(request.model, request.label, tokens)
        return completion


@dataclass(frozen=True)
class ReasoningRoom:
    """Layer that calls again with a higher token limit if reasoning has used up the whole limit.

    A limit that the client has set stays: what it allows to spend is its own decision. A reply that is streamed cannot
    be requested again.
    """

    inner: ChatClient

    def complete(self, request: ChatRequest) -> Completion:
        """Answer. Raises what the inner client raises."""
        completion = self.inner.complete(request)
        reasoned = completion.reasoning or completion.usage.reasoning_tokens or completion.text
        if completion.finish_reason != "length" or completion.answer or completion.tool_calls or not reasoned:
            return completion
        raised = REASONING_FACTOR * request.max_tokens
        raised = min(raised, lookup(request.model).max_output or raised)
        if not request.may_take_more or request.listener or raised <= request.max_tokens:
            return completion
        completion = self.inner.complete(replace(request, max_tokens=raised))
        change = f"max_completion_tokens raised to {raised}: reasoning had used up {request.max_tokens}"
        return replace(completion, fitted=(*completion.fitted, change))


@dataclass(frozen=True)
class BudgetGuard:
    """Layer that takes each call from the request's budget before it goes out.

    `estimate` returns the estimated tokens of a request's prompt; the reply then has the exact number.
    """

    inner: ChatClient
    estimate: Callable[[ChatRequest], int]

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, with a lower limit if fewer tokens remain. Raises OutOfBudget, or what the inner client raises."""
        with request.budget.call(self.estimate(request), request.max_tokens, request.deadline) as allowance:
            lowered = allowance.max_tokens < request.max_tokens
            affordable = replace(request, max_tokens=allowance.max_tokens) if lowered else request
            completion = self.inner.complete(affordable)
            usage = completion.usage
            if usage.completion_tokens is not None:  # otherwise it may have used its whole allowance
                allowance.spent = (usage.prompt_tokens or 0) + usage.completion_tokens
        if not lowered:
            return completion
        change = f"max_completion_tokens lowered to {allowance.max_tokens} to stay within max_total_tokens"
        return replace(completion, fitted=(*completion.fitted, change))


@dataclass(frozen=True)
class UsageTotals:
    """Calls and tokens.

    `uncounted` is the number of replies without usage. `reasoning_tokens` are included in `completion_tokens`, and
    `hedged`, the number of second calls (`hedging.py`), in `calls`.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    reasoning_tokens: int = 0
    hedged: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: UsageTotals) -> UsageTotals:
        return UsageTotals(*map(add, vars(self).values(), vars(other).values()))


class Ledger:
    """Calls and tokens of one request, by step and model. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent: dict[tuple[Step, str], UsageTotals] = {}

    def add(self, step: Step, model: str, usage: UsageTotals) -> None:
        """Add to the totals of a step and a model."""
        with self._lock:
            self._spent[step, model] = self._spent.get((step, model), UsageTotals()) + usage

    @property
    def by_step(self) -> Mapping[Step, UsageTotals]:
        """A copy of the totals by step, in the order of `Step`."""
        found: dict[Step, UsageTotals] = {}
        for (step, _), spent in self._copy():
            found[step] = found.get(step, UsageTotals()) + spent
        return {step: found[step] for step in Step if step in found}

    def costs(self, price_of: Callable[[str], Price | None]) -> Mapping[Step, float | None]:
        """Return the dollars of each step; None where the price of a model is unknown.

        A reply that states no tokens costs nothing here, so the cost is then too low.
        """
        found: dict[Step, float | None] = {}
        for (step, model), spent in self._copy():
            price, before = price_of(model), found.get(step, 0.0)
            known = before is not None and (price is not None or not spent.total_tokens)
            cost = price.cost(spent.prompt_tokens, spent.completion_tokens) if price else 0.0
            found[step] = round((before or 0.0) + cost, 8) if known else None
        return found

    def _copy(self) -> list[tuple[tuple[Step, str], UsageTotals]]:
        with self._lock:
            return list(self._spent.items())

    @property
    def total(self) -> UsageTotals:
        """All steps together."""
        return sum(self.by_step.values(), UsageTotals())


@dataclass(frozen=True)
class UsageMeter:
    """Layer that counts each call when it goes out, and its tokens when the reply arrives."""

    inner: ChatClient
    ledger: Ledger

    def complete(self, request: ChatRequest) -> Completion:
        """Answer. Raises what the inner client raises. A failed call counts, unless it was never sent."""
        # OptiLLM's defect: tokens_of_unused_attempts_are_not_counted
        # OptiLLM's defect: tokens_of_ratings_are_not_counted
        step = request.label.step
        self.ledger.add(step, request.model, UsageTotals(calls=1))
        try:
            completion = self.inner.complete(request)
        except CepoError as error:
            if not error.sent:
                self.ledger.add(step, request.model, UsageTotals(calls=-1))
            raise
        usage = completion.usage
        uncounted = int(usage.completion_tokens is None)
        prompt, reply = usage.prompt_tokens or 0, usage.completion_tokens or 0
        self.ledger.add(step, request.model, UsageTotals(0, prompt, reply, uncounted, usage.reasoning_tokens))
        return completion


CallRecorder = Callable[[ChatRequest], Callable[["Completion | CepoError", float], None]]
"""Is told of each call when it begins; what it returns is told of its end and of its seconds.

Both are called on the thread that makes the call, and must not raise. A call that ends with an error that is not `sent`
was never made.
"""


@dataclass(frozen=True)
class CallReporter:
    """Layer that reports each finished call to the observer, and each call with its texts to the recorder."""

    inner: ChatClient
    observer: Observer
    recorder: CallRecorder | None

    def complete(self, request: ChatRequest) -> Completion:
        """Answer. Raises what the inner client raises; the observer is told of calls that were sent only."""
        end = self.recorder(request) if self.recorder else None
        started = time.monotonic()
        try:
            completion = self.inner.complete(request)
        except CepoError as error:
            seconds = time.monotonic() - started
            if error.sent:
                self.observer(CallFinished(request.label, seconds, error=error))
            if end:
                end(error, seconds)
            raise
        seconds = time.monotonic() - started
        self.observer(CallFinished(request.label, seconds, completion.usage, completion.finish_reason))
        if end:
            end(completion, seconds)
        return completion
