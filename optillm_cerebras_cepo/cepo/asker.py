"""Asking the model on behalf of one request: the step's own limits, the client's conversation, the model's manners."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, Question
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.settings import Settings

THINK_SWITCH = " /think"  # OptiLLM appends it to prompts for every model (cepo.py:411, 413, 505, 541)


class Notes:
    """What a request had to leave out, each thing once, in the order in which it came up. For many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, None] = {}

    def add(self, *lines: str) -> None:
        """Note these; what stands already is not noted twice."""
        with self._lock:
            self._lines.update(dict.fromkeys(lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """All notes so far."""
        with self._lock:
            return tuple(self._lines)


@dataclass(frozen=True)
class Asker:
    """One request's way to one model.

    Attributes:
        client: the model client.
        model: the id to ask.
        thinks: whether the model reads the " /think" switch.
        question: what the client asks; its earlier turns stand before every prompt of OptiLLM's.
        settings: the request's settings.
        degraded: where to note what failed and was left out.
        fitted: where to note what of a call did not suit the model.

    """

    client: ChatClient
    model: str
    thinks: bool
    question: Question
    settings: Settings
    degraded: Notes = field(default_factory=Notes)
    fitted: Notes = field(default_factory=Notes)

    def ask(
        self,
        label: Label,
        prompts: Sequence[Message],
        options: Mapping[str, Any],
        max_tokens: int | None = None,
    ) -> Completion:
        """Make one call with the step's own temperature and token limit. Raises a CepoError."""
        limits = self.settings.limits(label.step)
        completion = self.client.complete(
            ChatRequest(
                model=self.model,
                messages=self._conversation(prompts),
                max_tokens=max_tokens or limits.max_tokens,
                label=label,
                temperature=limits.temperature,
                options=options,
            )
        )
        self.fitted.add(*(f"{label.step.value}: {change}" for change in completion.fitted))
        return completion

    def _conversation(self, prompts: Sequence[Message]) -> tuple[Message, ...]:
        """OptiLLM's prompts in the client's conversation.

        OptiLLM's functions know one system prompt and one question, and leave the system prompt out of some calls. Here
        it stands first in each, and the earlier turns follow it as the turns that they were.
        """
        system = prompts[0].content if prompts[0].role == "system" else self.question.system
        rest = [message for message in prompts if message.role != "system"]
        opening = (Message("system", system),) if system.strip() else ()
        return (*opening, *self.question.history, *(self._suited(message) for message in rest))

    def _suited(self, message: Message) -> Message:
        if self.thinks or message.role != "user":
            return message
        return Message("user", message.content.removesuffix(THINK_SWITCH))
