"""A step caller over a scripted client."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from optillm_cerebras_cepo.cepo.outcome import Outcome
from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.cepo.solve import solve
from optillm_cerebras_cepo.cepo.step_caller import ModelAccess, StepCaller
from optillm_cerebras_cepo.core.budget import Budget
from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion, Message, Parameters, Question, Step
from optillm_cerebras_cepo.core.errors import CepoError, ErrorScope
from optillm_cerebras_cepo.llm.context_window import TokenEstimates
from optillm_cerebras_cepo.llm.metering import BudgetGuard
from optillm_cerebras_cepo.settings.declaration import Settings
from support.scripted import Answer, Scripted

MODEL = "llama-3.3-70b"
HISTORY = (Message("user", "an earlier question"), Message("assistant", "an earlier answer"))


class Strict:
    """As the real stack does, makes no call after its request's end, and ends the request with what ends its calls."""

    def __init__(self, inner: ChatClient) -> None:
        self._inner = inner

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, once."""
        request.deadline.check()
        try:
            return self._inner.complete(request)
        except CepoError as error:
            if error.scope is not ErrorScope.CALL:
                request.deadline.whole.end(error)
            raise


class Desk:
    """A question, its settings, and a client that answers from a script."""

    def __init__(self, answer: Answer | str = "an answer", question: Question | None = None, **settings: Any) -> None:
        self.client = Scripted(answer)
        chosen = Settings(**settings)
        asked = question or Question("What is 6 times 7?", "Be exact.", HISTORY)
        self.caller = StepCaller(
            CepoRequest(asked, chosen),
            ModelAccess(
                Strict(BudgetGuard(self.client, lambda _: 10)),
                MODEL,
                count_tokens=partial(TokenEstimates().prompt_tokens_of_texts, MODEL),
            ),
            budget=Budget(chosen.max_calls, chosen.max_total_tokens),
        )
        self.caller = replace(self.caller, model=replace(self.caller.model, deadline=self.caller.deadline))


def run(it: Desk, **parameters: Any) -> Outcome:
    """Answer the question with one model for all steps."""
    caller = replace(it.caller, request=replace(it.caller.request, parameters=Parameters(**parameters)))
    return solve(caller, caller)


def by_candidate(request: ChatRequest) -> str:
    """Each candidate answers with its number; the judge prefers the second."""
    if request.label.step is Step.RATING:
        return f"Rating: [[{int(request.label.candidate == 2)}]]"
    return f"answer {request.label.candidate}"


def changed(caller: StepCaller, **fields: Any) -> StepCaller:
    """Return the caller with other fields: its own, or of its model, request or tracker."""
    own = dict(fields)
    for part in ("model", "request", "tracker"):
        record: Any = own.pop(part, getattr(caller, part))
        inner = {name: own.pop(name) for name in vars(record) if name in own and name not in ("deadline",)}
        own[part] = replace(record, **inner)
    return replace(caller, **own)
