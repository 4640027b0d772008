"""What OptiLLM's functions take for their client.

They reach the model only through `client.chat.completions.create(...)`, and read of its result only the text, the
finish reason and the completion tokens. That one call is where everything of ours comes in. They catch no error of the
Cerebras SDK and crash on missing text, but they know well what to do with a reply that was cut at its token limit: an
attempt is rejected, a review gives way to the first solution, a final answer to the review. So whatever cannot be used
is handed to them as a reply that was cut.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.chat import Completion, Label, Message, Step
from optillm_cerebras_cepo.errors import CepoError, UnusableReply

# Fields that the step's own settings or the table of models decide. The rest of a call goes on as it is.
DECIDED_BELOW = frozenset({"model", "messages", "max_tokens", "temperature", "stream", "reasoning_effort"})


class Seam:
    """A client for OptiLLM's functions whose every call belongs to one step. An error goes through to the caller."""

    def __init__(self, asker: Asker, label: Label) -> None:
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self._asker = asker
        self._label = label

    def _create(self, **fields: Any) -> SimpleNamespace:
        completion = self._complete(_prompts(fields), _options(fields))
        # Whole in any case: a text that was cut is read as far as it goes, where OptiLLM's raters crash (cepo.py:774).
        return _reply(completion.text, "stop", completion.usage.completion_tokens)

    def _complete(self, prompts: tuple[Message, ...], options: dict[str, Any]) -> Completion:
        return self._asker.ask(self._label, prompts, options)


class JudgeSeam(Seam):
    """A client for OptiLLM's raters.

    The absolute one asks the model twice for the same judgement and reads the second alone (cepo.py:754): here both
    get the reply to the first.
    """

    _judgement: tuple[tuple[Message, ...], Completion] | None = None

    def _complete(self, prompts: tuple[Message, ...], options: dict[str, Any]) -> Completion:
        if self._judgement is None or self._judgement[0] != prompts:
            self._judgement = prompts, super()._complete(prompts, options)
        return self._judgement[1]


class CandidateSeam:
    """A client for one run of `generate_completion`, made on the thread that runs it.

    The step of a call follows from its thread and its shape: plans and their execution run on threads of their own,
    review and final answer follow each other on the candidate's thread, and a direct answer there has no system prompt.
    """

    def __init__(self, asker: Asker, candidate: int) -> None:
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self._asker = asker
        self._candidate = candidate
        self._own_thread = threading.get_ident()
        self._reviewed = False

    def _create(self, **fields: Any) -> SimpleNamespace:
        prompts = _prompts(fields)
        label = Label(self._step(prompts), self._candidate)
        if label.step is Step.EXECUTE and Message("assistant", "") in prompts:
            return CUT  # the plan itself was rejected: there is nothing to execute (cepo.py:410 would send null)
        try:
            completion = self._asker.ask(label, prompts, _options(fields))
            if completion.usable:
                return _reply(completion.text, completion.finish_reason, completion.usage.completion_tokens)
            raise UnusableReply(f"the reply was {_flaw(completion)}")
        except CepoError as error:
            if error.fatal or label.step is Step.DIRECT:  # the direct answer is a candidate's last resort
                raise
            self._asker.degraded.add(f"{label} left out: {error.message}")
            return CUT

    def _step(self, prompts: tuple[Message, ...]) -> Step:
        if threading.get_ident() != self._own_thread:
            return Step.PLAN if len(prompts) == 2 else Step.EXECUTE
        if len(prompts) == 1:
            return Step.DIRECT
        first, self._reviewed = not self._reviewed, True
        return Step.REVIEW if first else Step.FINAL


def _prompts(fields: dict[str, Any]) -> tuple[Message, ...]:
    return tuple(Message(message["role"], message["content"] or "") for message in fields["messages"])


def _options(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in DECIDED_BELOW and value is not None}


def _flaw(completion: Completion) -> str:
    return {"length": "cut at its token limit", "content_filter": "cut by a content filter"}.get(
        completion.finish_reason or "", "empty"
    )


def _reply(text: str, finish_reason: str | None, completion_tokens: int | None) -> SimpleNamespace:
    choice = SimpleNamespace(message=SimpleNamespace(content=text), finish_reason=finish_reason)
    return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=completion_tokens or 0))


CUT = _reply("", "length", 0)
