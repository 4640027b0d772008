"""The layers of the model client, put together in one place."""

from __future__ import annotations

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.llm.fit import Fit, Refusals
from optillm_cerebras_cepo.llm.meter import Ledger, Meter
from optillm_cerebras_cepo.llm.retry import Retry, RetryPolicy
from optillm_cerebras_cepo.llm.trace import Observer, Trace


def stack(
    api: ChatClient, *, refusals: Refusals, policy: RetryPolicy, deadline: Deadline, ledger: Ledger, observer: Observer
) -> ChatClient:
    """One request's client over the process's connection to the API, from the outside in.

    - Fit is outermost: a refused field is another request, with attempts of its own.
    - Retry stands over everything that one try does.
    - A wait for the rate limits belongs here, below Retry (each try takes its place in the queue) and above Meter (a
      call that waits has not gone out yet).
    - Meter sees every try, for each is a call that the API counts.
    - Trace is next to the API: it times a call, not the waits around it.
    """
    return Fit(Retry(Meter(Trace(api, observer), ledger), policy, deadline), refusals)
