"""The client's messages as a Question: the last user turn asks, the turns before it keep their roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from optillm.server import extract_optillm_approach

from optillm_cerebras_cepo.chat import Message, Question, Role
from optillm_cerebras_cepo.errors import BadRequest

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
TURN = ("User: ", "Assistant: ")  # how OptiLLM's parse_conversation marks the turns (server.py:661)


def question_from(messages: object) -> Question:
    """Read a request's messages.

    Raises:
        BadRequest: they are no conversation that a plan can be made for; `param` names the message.

    """
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", param="messages")
    turns = [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system" and turn.content)
    spoken = [turn for turn in turns if turn.role != "system"]
    if not spoken or spoken[-1].role != "user":
        raise BadRequest("the last message must be the user's", param="messages")
    return Question(spoken[-1].content, system, tuple(turn for turn in spoken[:-1] if turn.content))


def question_from_text(system_prompt: str, text: str) -> Question:
    """Read what OptiLLM made of a conversation: marked turns in one text, or another approach's answer.

    One turn alone loses its mark. Several keep theirs, for a turn may itself contain something like a mark.
    """
    only = text.removeprefix(TURN[0])
    several = any(f"\n{mark}" in only for mark in TURN)
    return Question(text if several else only, system_prompt or "")


def _message(message: object, where: str) -> Message:
    if not isinstance(message, dict):
        raise BadRequest(f"{where} must be an object with role and content", param=where)
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        known = ", ".join(ROLES)
        raise BadRequest(f"{where}.role must be one of {known}; tools are not part of a plan", param=f"{where}.role")
    content = _text(message.get("content"), f"{where}.content")
    if not content.strip() and role != "assistant":
        raise BadRequest(f"{where}.content is empty", param=f"{where}.content")
    return Message(cast(Role, ROLES[role]), content)


def _text(content: object, where: str) -> str:
    if isinstance(content, str):
        # A tag that names an approach is OptiLLM's, not the model's; OptiLLM 0.3 leaves it in.
        return cast(str, extract_optillm_approach(content)[0])
    if content is None:
        return ""
    if isinstance(content, list):
        return " ".join(_text(_part(part, where), where) for part in cast(Sequence[Any], content))
    raise BadRequest(f"{where} must be a string or a list of text parts", param=where)


def _part(part: object, where: str) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return cast(str, part["text"])
    raise BadRequest(f"{where} may hold text parts only; images are not part of a plan", param=where)
