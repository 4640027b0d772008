"""An asker over a scripted client."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from optillm_cerebras_cepo.budget import Budget
from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.flow import solve
from optillm_cerebras_cepo.cepo.outcome import Outcome
from optillm_cerebras_cepo.chat import ChatRequest, Completion, Message, Question, Step
from optillm_cerebras_cepo.errors import CepoError, Ends
from optillm_cerebras_cepo.llm.afford import Afford
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.llm.estimate import Estimates
from optillm_cerebras_cepo.parameters import Parameters
from optillm_cerebras_cepo.settings import Settings
from support.scripted import Answer, Scripted

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
            if error.ends is not Ends.CALL:
                request.deadline.whole.end(error)
            raise


class Desk:
    """A question, its settings, and a client that answers from a script."""

    def __init__(self, answer: Answer | str = "an answer", question: Question | None = None, **settings: Any) -> None:
        self.client = Scripted(answer)
        chosen = Settings(**settings)
        self.asker = Asker(
            client=Strict(Afford(self.client, lambda _: 10)),
            model="llama-3.3-70b",
            thinks=False,
            question=question or Question("What is 6 times 7?", "Be exact.", HISTORY),
            settings=chosen,
            estimate=Estimates().of_texts,
            budget=Budget(chosen.max_calls, chosen.max_total_tokens),
        )


def run(it: Desk, **parameters: Any) -> Outcome:
    """Answer the question with one model for all steps."""
    asker = replace(it.asker, parameters=Parameters(**parameters))
    return solve(asker, asker)


def by_candidate(request: ChatRequest) -> str:
    """Each candidate answers with its number; the judge prefers the second."""
    if request.label.step is Step.RATING:
        return f"Rating: [[{int(request.label.candidate == 2)}]]"
    return f"answer {request.label.candidate}"
