"""An asker over a scripted client."""

from __future__ import annotations

from typing import Any

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.chat import Message, Question
from optillm_cerebras_cepo.settings import Settings
from support.scripted import Answer, Scripted

HISTORY = (Message("user", "an earlier question"), Message("assistant", "an earlier answer"))


class Desk:
    """A question, its settings, and a client that answers from a script."""

    def __init__(self, answer: Answer | str = "an answer", question: Question | None = None, **settings: Any) -> None:
        self.client = Scripted(answer)
        self.asker = Asker(
            client=self.client,
            model="llama-3.3-70b",
            thinks=False,
            question=question or Question("What is 6 times 7?", "Be exact.", HISTORY),
            settings=Settings(**settings),
        )
