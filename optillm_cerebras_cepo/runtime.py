"""The one home of what outlives a request: connections, the list of models, and what models were seen to refuse."""

from __future__ import annotations

import atexit
import itertools
import logging
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from optillm_cerebras_cepo.budget import Budget
from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.flow import solve
from optillm_cerebras_cepo.cepo.outcome import Outcome
from optillm_cerebras_cepo.cepo.timing import Times
from optillm_cerebras_cepo.chat import Listener, Question
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import CepoError, ModelUnavailable
from optillm_cerebras_cepo.events import Called, Event, Observer, ignore
from optillm_cerebras_cepo.form import Form
from optillm_cerebras_cepo.llm import tls
from optillm_cerebras_cepo.llm.base_url import normalized
from optillm_cerebras_cepo.llm.catalogue import Catalogue
from optillm_cerebras_cepo.llm.context import Contexts
from optillm_cerebras_cepo.llm.estimate import Estimates
from optillm_cerebras_cepo.llm.fit import Refusals
from optillm_cerebras_cepo.llm.keeping import Kept
from optillm_cerebras_cepo.llm.line import Places
from optillm_cerebras_cepo.llm.loop import Loop
from optillm_cerebras_cepo.llm.meter import Ledger
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.llm.pace import Gate
from optillm_cerebras_cepo.llm.record import Recorder
from optillm_cerebras_cepo.llm.reserve import ReplyLengths
from optillm_cerebras_cepo.llm.retry import RetryPolicy
from optillm_cerebras_cepo.llm.sdk import CONNECTIONS, SdkClient
from optillm_cerebras_cepo.llm.stack import stack
from optillm_cerebras_cepo.parameters import Parameters
from optillm_cerebras_cepo.settings import Settings

AS_IT_IS = Parameters()  # of a client that asks for nothing in particular
logger = logging.getLogger("optillm_cerebras_cepo")
REQUESTS = 32  # questions that are planned at once; others wait, or the threads would grow with the load


@dataclass(frozen=True)
class Solved:
    """An outcome and what it took. `degraded` and `fitted` say what was left out."""

    outcome: Outcome
    model: str
    settings: Settings
    planned: bool
    forwarded: str  # why the request went to the model as it was; empty where it did not
    ledger: Ledger
    seconds: float
    degraded: tuple[str, ...]
    fitted: tuple[str, ...]


class _Learnt:
    """What was learnt of the models of one account: another may have other limits, and another API other fields."""

    def __init__(self) -> None:
        self.refusals = Refusals()
        self.contexts = Contexts()


class Runtime:
    """Process-wide state. One lock, held for look-ups only and never while a call is under way.

    `time_scale` is for tests and benchmarks: so many of the API's seconds pass in a real one, and waits are as much
    shorter.
    """

    def __init__(self, time_scale: float = 1.0) -> None:
        self._time_scale = time_scale
        self._lock = threading.Lock()
        self._loop = Loop()
        self._clients: dict[tuple[str, str, tls.Tls], SdkClient] = {}
        self._gates = Kept(60.0 / time_scale)
        self._requests = Places(REQUESTS)
        self._connections = CONNECTIONS
        self._running: set[Deadline] = set()
        self._stopped: Callable[[], CepoError] | None = None
        self._ages = itertools.count(1)
        self.catalogue = Catalogue()
        self._learnt: dict[SdkClient, _Learnt] = {}
        self.lengths = ReplyLengths()
        self.estimates = Estimates()
        self._seconds: dict[str, float] = {}  # that a call of this model took lately, without its waits

    def client(self, base_url: str, api_key: str, settings: tls.Tls = tls.DEFAULT) -> SdkClient:
        """Return the one client for this API, key and TLS settings; it is made on first use.

        Raises:
            BadConfiguration: the base URL is none, or the trusted certificates cannot be loaded.

        """
        root = normalized(base_url)
        key = root, api_key, settings
        with self._lock:
            new = key not in self._clients
            if new:  # OptiLLM's defect: a_client_is_built_for_each_request
                self._clients[key] = SdkClient(root, api_key, self._loop, settings, self._connections)
            client = self._clients[key]
        if new and root.lower() != base_url.rstrip("/").lower():
            logger.info("cepo_cerebras: the base URL is shortened to %s; /v1 is added to each call's path", root)
        return client

    def reset(self) -> None:
        """Forget everything and close all connections; for tests, and at exit."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
            self._gates.clear()
            self._seconds.clear()
            self._stopped = None
            self.catalogue.clear()
            self._learnt.clear()
            self.lengths = ReplyLengths()
            self.estimates = Estimates()
        for client in clients:
            client.close()

    def plan_at_once(self, requests: int) -> None:
        """Say how many questions are planned at once; to be said before the first comes."""
        self._requests = Places(requests)

    def limit_connections(self, most: int) -> None:
        """Set how many connections each client may have open to the API; to be said before the first is made."""
        self._connections = most

    def stop(self, reason: Callable[[], CepoError]) -> None:
        """End all requests that are worked on, and each that is still to come, with an error of its own."""
        with self._lock:
            self._stopped = reason
            running = list(self._running)
        for deadline in running:
            deadline.end(reason())

    def solve(
        self,
        question: Question,
        settings: Settings,
        api: SdkClient,
        observer: Observer = ignore,
        *,
        parameters: Parameters = AS_IT_IS,
        form: Form | None = None,
        listener: Listener | None = None,
        deadline: Deadline | None = None,
        recorder: Recorder | None = None,
    ) -> Solved:
        """Answer one question.

        Args:
            question: what the client asks.
            settings: of this request.
            api: the connection to use.
            observer: is told how it goes on, from any thread.
            parameters: what the client wants of the answer.
            form: what the answer has to look like.
            listener: hears the answer while it is written, where it is known early that it is the one.
            deadline: the request's; whoever ends it ends the request. By default, one of the settings' seconds.
            recorder: is told of every call with all that it said.

        Raises:
            CepoError: there is no answer.

        """
        started = time.monotonic()
        deadline = deadline or Deadline(settings.deadline)
        # A direct answer is one call: it goes before all that are planned, and takes no thread.
        planned = settings.effort != "none" and question.forward is None
        age = next(self._ages) if planned else 0
        ledger = Ledger()
        policy = RetryPolicy(
            attempts=settings.call_attempts,
            timeout=settings.call_timeout,
            min_tokens_per_second=settings.min_tokens_per_second,
            time_scale=self._time_scale,
        )
        gates = self._gates.at(settings.redis_url)
        took: list[float] = []

        def gate(model: str) -> Gate:
            return gates.of(api.address, model, settings.concurrency, own_limits(settings))

        def observe(event: Event) -> None:
            if isinstance(event, Called):
                if event.error is None:
                    took.append(event.seconds)
                elif isinstance(event.error, ModelUnavailable):
                    self.catalogue.forget(api)  # the list names a model that has stopped working
            observer(event)

        learnt = self._learnt_of(api)
        client = stack(
            api,
            refusals=learnt.refusals,
            contexts=learnt.contexts,
            estimates=self.estimates,
            lengths=self.lengths if settings.fit_tokens else None,
            policy=policy,
            gate=gate,
            age=age,
            ledger=ledger,
            observer=observe,
            recorder=recorder,
        )
        try:
            with self._under_way(deadline):
                model = self.catalogue.resolve(api, settings.model, policy, deadline)
                own = deadline.part()
                asker = Asker(
                    client,
                    model,
                    lookup(model).think_switch,
                    question,
                    settings,
                    deadline=own,
                    model_deadline=own,
                    budget=Budget(settings.max_calls, settings.max_total_tokens),
                    times=Times(self._seconds.get(model)),
                    room=lambda seconds: gate(model).room(seconds, deadline),
                    estimate=self.estimates.of_texts,
                    usual=partial(self.lengths.usual, model),
                    parameters=parameters,
                    form=form,
                    observer=observer,
                )
                rater = self._rater(asker, api, policy, deadline) if settings.rating_model else asker
                with self._requests.taken((age,), deadline) if planned else nullcontext():
                    outcome = solve(asker, rater, listener)
        except CepoError as error:
            error.spent = spent(ledger)
            raise
        finally:
            deadline.end()
            if took:
                self._seconds[model] = statistics.median(took)
        seconds = time.monotonic() - started
        return Solved(
            outcome,
            model,
            settings,
            planned,
            question.forward.reason if question.forward else "",
            ledger,
            seconds,
            asker.degraded.lines,
            asker.fitted.lines,
        )

    def _rater(self, asker: Asker, api: SdkClient, policy: RetryPolicy, deadline: Deadline) -> Asker:
        """Return the way to the model that rates; where it is not served, each rating is left out and says why."""
        own = deadline.part()
        wanted = str(asker.settings.rating_model)
        try:
            model = self.catalogue.resolve(api, (wanted,), policy, deadline)
        except CepoError as error:
            if error.discards_answers:
                raise
            own.end(error)
            model = wanted
        return replace(
            asker,
            model=model,
            thinks=lookup(model).think_switch,
            usual=partial(self.lengths.usual, model),
            deadline=own,
            model_deadline=own,
        )

    def _learnt_of(self, api: SdkClient) -> _Learnt:
        with self._lock:
            return self._learnt.setdefault(api, _Learnt())

    @contextmanager
    def _under_way(self, deadline: Deadline) -> Iterator[None]:
        """Let `stop` end what happens within this block."""
        with self._lock:
            if self._stopped is not None:
                raise self._stopped()
            self._running.add(deadline)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(deadline)


def own_limits(settings: Settings) -> dict[str, float]:
    """The operator's limits, by window."""
    own = {"requests-minute": settings.rpm, "tokens-minute": settings.tpm}
    return {window: limit for window, limit in own.items() if limit is not None}


def spent(ledger: Ledger) -> dict[str, int]:
    """What a request has spent, as an error tells it; nothing before its first call."""
    total = ledger.total
    sums = {"calls": total.calls, "prompt_tokens": total.prompt_tokens, "completion_tokens": total.completion_tokens}
    return sums if total.calls else {}


RUNTIME = Runtime()
atexit.register(RUNTIME.reset)  # aiohttp complains of connections that nobody closed
