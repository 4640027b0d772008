"""What every layer of the model client is."""

from __future__ import annotations

from typing import Protocol

from optillm_cerebras_cepo.chat import ChatRequest, Completion


class ChatClient(Protocol):
    """Something that answers one call. All layers are this, so they stack in any order."""

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, or raise a CepoError. Safe to call from several threads at once."""
        ...
