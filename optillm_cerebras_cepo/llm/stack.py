"""The layers of the model client, and the reason for their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from optillm_cerebras_cepo.core.chat import ChatClient
from optillm_cerebras_cepo.core.events import Observer
from optillm_cerebras_cepo.llm.context_window import ContextFitter, ContextWindows, TokenEstimates
from optillm_cerebras_cepo.llm.hedging import HedgePolicy, Hedging
from optillm_cerebras_cepo.llm.metering import (
    AdaptiveMaxTokens,
    BudgetGuard,
    CallRecorder,
    CallReporter,
    Ledger,
    ReasoningRoom,
    ReplyLengths,
    UsageMeter,
)
from optillm_cerebras_cepo.llm.rate_limits.limiter import RateLimitedClient, RateLimiter
from optillm_cerebras_cepo.llm.retry import Retry, RetryPolicy
from optillm_cerebras_cepo.llm.unsupported_params import UnsupportedParams, UnsupportedParamsFilter


@dataclass(frozen=True)
class ModelKnowledge:
    """What was learned from earlier calls; outlives a request.

    Without `reply_lengths`, each call has its whole token limit. Without `hedges`, no late call has a second one.
    """

    unsupported_params: UnsupportedParams
    context_windows: ContextWindows
    token_estimates: TokenEstimates
    reply_lengths: ReplyLengths | None
    hedges: HedgePolicy | None


@dataclass(frozen=True)
class RequestLayers:
    """What the layers need of one request.

    Attributes:
        policy: of its retries.
        limiter: returns the rate limiter for a name of `limits_name`.
        age: its number; older requests have smaller numbers.
        ledger: where its calls and tokens are counted.
        observer: is told of finished and delayed calls.
        recorder: is given each call with its texts; None for no recording.

    """

    policy: RetryPolicy
    limiter: Callable[[str], RateLimiter]
    age: int
    ledger: Ledger
    observer: Observer
    recorder: CallRecorder | None = None


def stack(api: ChatClient, knowledge: ModelKnowledge, request: RequestLayers) -> ChatClient:
    """Return one request's client: the layers, from the outside in, around the connection to the API.

    1. UnsupportedParamsFilter. A call without a refused field is a new call, with retries of its own.
    2. ReasoningRoom. A call with a higher token limit is a new call as well, and has to fit into the context.
    3. ContextFitter. A shortened call is a new call as well. It is above AdaptiveMaxTokens, because a reply that is
       requested again with the whole limit has to fit into the context.
    4. AdaptiveMaxTokens. It calls again with the whole limit when the lowered limit cut a reply.
    5. Retry. It repeats all that one attempt does.
    6. BudgetGuard. It is below Retry, because each attempt counts. It is above RateLimitedClient, because a call that
       the budget does not allow must not wait for a slot, and a call that waits for tokens must not hold one.
    7. RateLimitedClient. It is below Retry, so that a call releases its slot before it waits for the next attempt. It
       is above UsageMeter, because a call that waits for its turn has not gone out.
    8. Hedging. It is below RateLimitedClient, so that a call that waits for its turn is not late. A second call goes
       through a RateLimitedClient of its own, because it counts against the limits too.
    9. UsageMeter. It sees each attempt, because the API counts each.
    10. CallReporter. It is next to the API, so that it measures the call and no wait, and records what was sent.
    """
    estimates, observer = knowledge.token_estimates, request.observer
    metered = UsageMeter(CallReporter(api, observer, request.recorder), request.ledger)
    limited = RateLimitedClient(metered, request.limiter, estimates, request.age, observer)
    if knowledge.hedges is not None:
        hedged = Hedging(metered, limited, knowledge.hedges, request.ledger, observer)
        limited = replace(limited, inner=hedged)
    client: ChatClient = Retry(BudgetGuard(limited, estimates.prompt_tokens), request.policy, observer)
    if knowledge.reply_lengths is not None:
        client = AdaptiveMaxTokens(client, knowledge.reply_lengths)
    client = ReasoningRoom(ContextFitter(client, knowledge.context_windows, estimates))
    return UnsupportedParamsFilter(client, knowledge.unsupported_params)
