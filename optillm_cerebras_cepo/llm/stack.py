"""The layers of the model client, put together in one place."""

from __future__ import annotations

from collections.abc import Callable

from optillm_cerebras_cepo.events import Observer
from optillm_cerebras_cepo.llm.afford import Afford
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.llm.context import Context, Contexts
from optillm_cerebras_cepo.llm.estimate import Estimates
from optillm_cerebras_cepo.llm.fit import Fit, Refusals
from optillm_cerebras_cepo.llm.meter import Ledger, Meter
from optillm_cerebras_cepo.llm.pace import Gate, Pace
from optillm_cerebras_cepo.llm.record import Record, Recorder
from optillm_cerebras_cepo.llm.reserve import ReplyLengths, Reserve
from optillm_cerebras_cepo.llm.retry import Retry, RetryPolicy
from optillm_cerebras_cepo.llm.trace import Trace


def stack(
    api: ChatClient,
    *,
    refusals: Refusals,
    contexts: Contexts,
    estimates: Estimates,
    lengths: ReplyLengths | None,
    policy: RetryPolicy,
    gate: Callable[[str], Gate],
    age: int,
    ledger: Ledger,
    observer: Observer,
    recorder: Recorder | None = None,
) -> ChatClient:
    """One request's client over the process's connection to the API, from the outside in.

    - Fit is outermost: a refused field is another request, with attempts of its own.
    - Context comes next: where a call is too long for its model, it is another call too. It is above Reserve, for a
      reply that is asked for with the whole limit has to find room for it.
    - Reserve follows, for a reply that was cut at the lowered limit is asked for anew; without `lengths` the whole
      limit is asked for.
    - Retry stands over everything that one try does.
    - Afford is below Retry, for each try counts, and above what waits: a call that the budget does not bear waits for
      nothing, and one that waits for another's tokens holds no place.
    - Pace is below Retry: a call that waits to be tried again gives its place away. It is above Meter: a call that
      waits has not gone out yet.
    - Meter sees every try, for each is a call that the API counts.
    - Record sees the calls as they go out. It is above Trace, so that recording is not timed as part of a call.
    - Trace is next to the API: it times a call, not the waits around it.
    """
    traced = Trace(api, observer)
    recorded = traced if recorder is None else Record(traced, recorder)
    paced = Pace(Meter(recorded, ledger), gate, estimates, age, observer)
    tried = Retry(Afford(paced, estimates.of), policy, observer)
    reserved = tried if lengths is None else Reserve(tried, lengths)
    return Fit(Context(reserved, contexts, estimates), refusals)
