"""Room for reasoning: it counts against a reply's token limit, and can use it up before the answer begins."""

from __future__ import annotations

from dataclasses import dataclass, replace

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion
from optillm_cerebras_cepo.llm.models import lookup

FACTOR = 4  # of the token limit of a call that is made again


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
        raised = FACTOR * request.max_tokens
        raised = min(raised, lookup(request.model).max_output or raised)
        if not request.may_take_more or request.listener or raised <= request.max_tokens:
            return completion
        completion = self.inner.complete(replace(request, max_tokens=raised))
        change = f"max_completion_tokens raised to {raised}: reasoning had used up {request.max_tokens}"
        return replace(completion, fitted=(*completion.fitted, change))
