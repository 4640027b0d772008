"""One request: its deadline, its model client, and its result."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from optillm_cerebras_cepo.cepo.outcome import Outcome
from optillm_cerebras_cepo.cepo.request import CallTimes, CepoRequest, RequestTracker
from optillm_cerebras_cepo.cepo.solve import solve
from optillm_cerebras_cepo.cepo.step_caller import ModelAccess, StepCaller
from optillm_cerebras_cepo.core.budget import Budget
from optillm_cerebras_cepo.core.chat import ChatClient, Listener, Step
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import BadConfiguration, CepoError, ModelUnavailable, NoPrice
from optillm_cerebras_cepo.core.events import CallFinished, Event, Observer, ignore
from optillm_cerebras_cepo.core.prices import Price, prices_in
from optillm_cerebras_cepo.llm.catalogue import Catalogue
from optillm_cerebras_cepo.llm.context_window import ContextWindows, TokenEstimates
from optillm_cerebras_cepo.llm.hedging import HedgePolicy
from optillm_cerebras_cepo.llm.metering import CallRecorder, Ledger, ReplyLengths
from optillm_cerebras_cepo.llm.models import lookup, price_of
from optillm_cerebras_cepo.llm.rate_limits.limiter import RateLimiter, limits_name
from optillm_cerebras_cepo.llm.rate_limits.priority_queue import PrioritySemaphore
from optillm_cerebras_cepo.llm.rate_limits.registry import LimiterRegistry
from optillm_cerebras_cepo.llm.retry import RetryPolicy
from optillm_cerebras_cepo.llm.sdk import SdkClient
from optillm_cerebras_cepo.llm.stack import ModelKnowledge, RequestLayers, stack
from optillm_cerebras_cepo.llm.unsupported_params import UnsupportedParams
from optillm_cerebras_cepo.settings.declaration import ANOTHER_FAMILY, Settings


@dataclass
class SharedState:
    """What all sessions of a process share. Each attribute is thread-safe."""

    time_scale: float  # API seconds in a real second; waits are as much shorter. For tests and benchmarks
    limiters: LimiterRegistry  # rate limiters, by where their limits are stored
    # Semaphore that limits how many planned requests run at once, and so the number of threads.
    planning: PrioritySemaphore
    catalogue: Catalogue = field(default_factory=Catalogue)  # lists of models
    # What was learned about models, by account: others and other APIs may differ.
    accounts: dict[SdkClient, ModelKnowledge] = field(default_factory=dict)
    reply_lengths: ReplyLengths = field(default_factory=ReplyLengths)  # lengths of replies, by kind of call
    token_estimates: TokenEstimates = field(default_factory=TokenEstimates)  # tokens of prompts, by model
    # Median duration of the calls of the last request, by model, without waits.
    call_seconds: dict[str, float] = field(default_factory=dict)
    # Order of the requests; older ones go first.
    ages: Iterator[int] = field(default_factory=lambda: itertools.count(1))


@dataclass(frozen=True)
class RequestHooks:
    """Who is informed of a request while it runs."""

    observer: Observer = ignore  # receives progress events, from any thread
    listener: Listener | None = None  # receives the answer while it is written, if no other answer can replace it
    recorder: CallRecorder | None = None  # receives every call with its texts, for who asked for them


@dataclass(frozen=True)
class RequestResult:
    """An outcome and what it took."""

    outcome: Outcome  # the answers
    model: str  # the API's id of the model that answered
    judge: str  # the API's id of the model that rates
    settings: Settings  # of the request
    planned: bool  # whether the request was to be planned
    forwarded: str  # why the client's messages were passed through; empty if they were not
    ledger: Ledger  # calls and tokens
    costs: Mapping[Step, float | None]  # dollars by step; None if the price of a model is unknown
    seconds: float  # duration of the request
    degraded: tuple[str, ...]  # what failed and was left out, a line each
    fitted: tuple[str, ...]  # what was changed to suit the model, a line each

    @property
    def cost(self) -> float | None:
        """Dollars of all calls; None if the price of a model is unknown."""
        return total_cost(self.costs)


def total_cost(costs: Mapping[Step, float | None]) -> float | None:
    """Return the sum of all steps' dollars, without the noise of its last digits; None if one is unknown."""
    known = [cost for cost in costs.values() if cost is not None]
    return round(sum(known), 8) if len(known) == len(costs) else None


class RequestSession:
    """One request on its way to an answer.

    Args:
        shared: what all sessions share.
        api: the connection to use.
        request: what is asked.
        hooks: who is informed.
        deadline: of the request; whoever ends it ends the request.

    """

    def __init__(
        self, shared: SharedState, api: SdkClient, request: CepoRequest, hooks: RequestHooks, deadline: Deadline
    ) -> None:
        settings = request.settings
        self.deadline = deadline
        self._shared = shared
        self._api = api
        self._request = request
        self._hooks = hooks
        # A direct answer is one call: it goes before all that are planned, and takes no thread.
        self._planned = settings.effort != "none" and request.question.passthrough is None
        self._age = next(shared.ages) if self._planned else 0
        self._policy = RetryPolicy(
            attempts=settings.call_attempts,
            timeout=settings.call_timeout,
            min_tokens_per_second=settings.min_tokens_per_second,
            time_scale=shared.time_scale,
        )
        shared.limiters.connect(settings.redis_url)
        self._ledger = Ledger()
        try:
            self._own_prices = prices_in(settings.prices) if settings.prices else {}
        except ValueError as error:  # the file was changed after the settings were read
            raise BadConfiguration(f"CEPO_CEREBRAS_PRICES {error}") from None
        self._durations: list[float] = []

    def run(self) -> RequestResult:
        """Answer the question. Raise a CepoError if there is no answer; its `spent` has calls, tokens and dollars."""
        started, model = time.monotonic(), ""
        try:
            caller, rater = self._callers()
            model = caller.model.id
            with self._shared.planning.slot((self._age,), self.deadline) if self._planned else nullcontext():
                outcome = solve(caller, rater, self._hooks.listener)
        except CepoError as error:
            total = self._ledger.total
            names = ("calls", "prompt_tokens", "completion_tokens")
            if total.calls:
                error.spent = {**{name: getattr(total, name) for name in names}, "cost": total_cost(self._costs())}
            raise
        finally:
            self.deadline.end()
            if self._durations and model:
                self._shared.call_seconds[model] = statistics.median(self._durations)
        question, tracker = self._request.question, caller.tracker
        return RequestResult(
            outcome,
            model,
            rater.model.id,
            self._request.settings,
            self._planned,
            question.passthrough.reason if question.passthrough else "",
            self._ledger,
            self._costs(),
            time.monotonic() - started,
            tracker.degraded.lines,
            tracker.fitted.lines,
        )

    def _callers(self) -> tuple[StepCaller, StepCaller]:
        """Return the step callers for the model that answers and for the one that rates."""
        settings, client = self._request.settings, self._client()
        resolve = partial(self._shared.catalogue.resolve, self._api, policy=self._policy, deadline=self.deadline)
        access = self._access(client, resolve(settings.model), self.deadline.part())
        times = CallTimes(self._shared.call_seconds.get(access.id))
        tracker = RequestTracker(self._hooks.observer, call_times=times)
        if not settings.rating_model:
            caller = StepCaller(self._request, access, tracker, access.deadline, self._budget({access.id}))
            return caller, caller
        deadline, model, called = self.deadline.part(), settings.rating_model, {access.id}
        try:
            model = self._of_another_family(access.id) if model == ANOTHER_FAMILY else resolve((model,))
            called |= {model}
        except CepoError as error:
            if error.discards_answers:
                raise
            deadline.end(error)  # each rating is left out, with this reason
        if settings.rating_model == ANOTHER_FAMILY and model == access.id:
            tracker.fitted.add(f"rating_model: no model of another family is listed; {model} rates")
        caller = StepCaller(self._request, access, tracker, access.deadline, self._budget(called))
        return caller, replace(caller, model=self._access(client, model, deadline), deadline=deadline)

    def _budget(self, models: Collection[str]) -> Budget:
        """Return the request's budget. `max_cost` becomes a limit of tokens, which all count as the dearest kind."""
        settings = self._request.settings
        limits = {"max_total_tokens": settings.max_total_tokens}
        if settings.max_cost is not None:
            prices = {model: self._price(model) for model in models}
            if unknown := [model for model, price in prices.items() if price is None]:
                raise NoPrice(
                    f"max_cost needs the price of {' and '.join(unknown)}, which is not known; use max_total_tokens, or"
                    " set CEPO_CEREBRAS_PRICES on the server"
                )
            dearest = max(price.dearest for price in prices.values() if price)
            limits["max_cost"] = int(settings.max_cost / dearest) if dearest else None
        known = {name: limit for name, limit in limits.items() if limit is not None}
        name = min(known, key=known.__getitem__, default="max_total_tokens")
        return Budget(settings.max_calls, known.get(name), name)

    def _costs(self) -> Mapping[Step, float | None]:
        return self._ledger.costs(self._price)

    def _price(self, model: str) -> Price | None:
        return price_of(model, self._own_prices)

    def _of_another_family(self, model: str) -> str:
        """Return the first model of another family than this one's; this one if none is listed."""
        found = self._shared.catalogue.of_another_family(self._api, model, self._policy, self.deadline)
        return found or model

    def _access(self, client: ChatClient, model: str, deadline: Deadline) -> ModelAccess:
        limiter = self._limiter(limits_name(model, self._request.settings.tier(Step.PLAN)))
        estimates = self._shared.token_estimates
        return ModelAccess(
            client,
            model,
            lookup(model).efforts,
            lookup(model).think_switch,
            deadline,
            calls_possible=lambda seconds: limiter.calls_within(seconds, self.deadline),
            count_tokens=partial(estimates.prompt_tokens_of_texts, model),
            usual_reply_tokens=partial(self._shared.reply_lengths.mean, model),
        )

    def _client(self) -> ChatClient:
        """Return this request's layers over the connection to the API."""
        shared, hooks = self._shared, self._hooks
        estimates, lengths, settings = shared.token_estimates, shared.reply_lengths, self._request.settings
        knowledge = shared.accounts.get(self._api)
        if knowledge is None:
            new = ModelKnowledge(UnsupportedParams(), ContextWindows(), estimates, lengths, HedgePolicy())
            knowledge = shared.accounts.setdefault(self._api, new)  # another request may have been faster
        if not settings.fit_tokens:
            knowledge = replace(knowledge, reply_lengths=None)
        if not settings.hedged_calls:
            knowledge = replace(knowledge, hedges=None)
        layers = RequestLayers(self._policy, self._limiter, self._age, self._ledger, self._observe, hooks.recorder)
        return stack(self._api, knowledge, layers)

    def _limiter(self, name: str) -> RateLimiter:
        settings = self._request.settings
        return self._shared.limiters.limiter(
            settings.redis_url, self._api.address, name, settings.concurrency, operator_limits(settings)
        )

    def _observe(self, event: Event) -> None:
        if isinstance(event, CallFinished):
            if event.error is None:
                self._durations.append(event.seconds)
            elif isinstance(event.error, ModelUnavailable):
                self._shared.catalogue.forget(self._api)  # the list names a model that has stopped working
        self._hooks.observer(event)


def operator_limits(settings: Settings) -> dict[str, float]:
    """Return the operator's rate limits, by window."""
    limits = {"requests-minute": settings.rpm, "tokens-minute": settings.tpm}
    return {window: limit for window, limit in limits.items() if limit is not None}
