"""Attributes of spans, which `docs/telemetry.md` lists.

Their names are those of OpenTelemetry's semantic conventions 1.41.0 for generative AI, the last version of the
conventions that contains them. What these do not know has the prefix `cepo_cerebras.` and the name that it has in the
reply. No text of a client or a model is among them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.chat import ChatRequest, Completion
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.session import RequestResult

SCHEMA = "https://opentelemetry.io/schemas/1.41.0"
AGENT = "cepo_cerebras"
PROVIDER = "cerebras"  # the conventions have no value for it
INPUT_TOKENS, OUTPUT_TOKENS = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"  # a part of the output tokens
PARAMETERS = ("top_p", "frequency_penalty", "presence_penalty", "seed")  # of a call, that its span has
PORTS = {"https": 443, "http": 80}

Value = str | bool | int | float | Sequence[str] | Sequence[float]
Attributes = dict[str, Value]


def of_request(request: CepoRequest, request_id: str | None) -> Attributes:
    """Return what is known of a request when it begins."""
    return _known(
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.agent.name": AGENT,
            "gen_ai.agent.version": __version__,
            "gen_ai.request.model": lookup(request.settings.model[0]).id,
            "gen_ai.request.choice.count": request.parameters.n if request.parameters.n > 1 else None,
            "gen_ai.request.stream": request.parameters.stream or None,
            "cepo_cerebras.effort": request.settings.effort,
            "cepo_cerebras.request_id": request_id,
        }
    )


def of_result(result: RequestResult | CepoError) -> Attributes:
    """Return what came of a request."""
    if isinstance(result, CepoError):
        spent = result.spent
        return of_error(result) | _known(
            {
                INPUT_TOKENS: spent.get("prompt_tokens"),
                OUTPUT_TOKENS: spent.get("completion_tokens"),
                "cepo_cerebras.calls": spent.get("calls"),
                "cepo_cerebras.cost": spent.get("cost"),
            }
        )
    outcome, total = result.outcome, result.ledger.total
    return _known(
        {
            "gen_ai.request.model": result.model,
            "gen_ai.response.finish_reasons": [answer.finish_reason for answer in outcome.answers],
            INPUT_TOKENS: total.prompt_tokens,
            OUTPUT_TOKENS: total.completion_tokens,
            REASONING_TOKENS: total.reasoning_tokens or None,
            "cepo_cerebras.planned": result.planned,
            "cepo_cerebras.rating_model": result.judge if result.judge != result.model else None,
            "cepo_cerebras.calls": total.calls,
            "cepo_cerebras.hedged": total.hedged,
            "cepo_cerebras.uncounted": total.uncounted,
            "cepo_cerebras.cost": result.cost,
            "cepo_cerebras.chosen": outcome.chosen,
            "cepo_cerebras.ratings": [rating for rating in outcome.ratings if rating is not None] or None,
            "cepo_cerebras.agreement": outcome.agreement,
            # Numbers: the lines may quote keys of the client's JSON schema.
            "cepo_cerebras.degraded": len(result.degraded),
            "cepo_cerebras.fitted": len(result.fitted),
        }
    )


def of_group(candidate: int, step: str) -> Attributes:
    """Return what a candidate's span says, or a step's; 0 is no candidate."""
    return _known({"cepo_cerebras.candidate": candidate or None, "cepo_cerebras.step": step or None})


def of_server(base_url: str) -> Attributes:
    """Return the server of a base URL."""
    parts = urlsplit(base_url)
    return {"server.address": parts.hostname or "", "server.port": parts.port or PORTS.get(parts.scheme, 0)}


def of_call(request: ChatRequest, resent: int, is_second: bool) -> Attributes:
    """Return what was sent with a call: numbers only, and no stop sequence, which is the client's text.

    Args:
        request: the call.
        resent: how often it had been sent before.
        is_second: whether it is the second call for a late one.

    """
    options = request.options
    return of_group(request.label.candidate, request.label.step.value) | _known(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.request.model": request.model,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.temperature": request.temperature,
            **{f"gen_ai.request.{name}": options.get(name) for name in PARAMETERS},
            "gen_ai.request.stream": True if request.listener else None,
            "gen_ai.output.type": "json" if options.get("response_format") else None,
            "http.request.resend_count": resent or None,
            "cepo_cerebras.second_call": is_second or None,
        }
    )


def of_completion(completion: Completion) -> Attributes:
    """Return what a reply says."""
    usage = completion.usage
    return _known(
        {
            "gen_ai.response.model": completion.model,
            "gen_ai.response.finish_reasons": [completion.finish_reason] if completion.finish_reason else None,
            INPUT_TOKENS: usage.prompt_tokens,
            OUTPUT_TOKENS: usage.completion_tokens,
            REASONING_TOKENS: usage.reasoning_tokens or None,
        }
    )


def of_error(error: CepoError) -> dict[str, Value]:
    """Return an error's code, which docs/errors.md lists, or its kind."""
    return {"error.type": error.code or error.type}


def of_seconds(seconds: float) -> dict[str, Value]:
    """Return a duration."""
    return {"cepo_cerebras.seconds": round(seconds, 4)}


def of_groups(groups: Sequence[Sequence[int]]) -> Attributes:
    """Return how many answers were compared, and how many of them agree; `groups` has the largest group first."""
    return {"cepo_cerebras.agreeing": len(groups[0]), "cepo_cerebras.compared": sum(map(len, groups))}


def _known(values: Mapping[str, Value | None]) -> dict[str, Value]:
    """Return the values that are there: an attribute cannot be None."""
    return {name: value for name, value in values.items() if value is not None}
