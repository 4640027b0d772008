"""The client's messages as a Question: the last user turn asks, the turns before it keep their roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import optillm.server as server

from optillm_cerebras_cepo.chat import Forward, Message, Question, RawMessage, Role
from optillm_cerebras_cepo.errors import BadRequest

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
FIELDS = ("role", "content", "name", "tool_calls", "tool_call_id")  # of a message that is forwarded; others are refused
TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls")
NO_CHOICE: tuple[object, ...] = (None, "", {})  # values of tool_choice that choose nothing
TURN = ("User: ", "Assistant: ")  # how OptiLLM's parse_conversation marks the turns (server.py:661)


def question_from(body: Mapping[str, Any]) -> Question:
    """Read a request.

    One with tools, images or the results of tools is no question to plan for: it will go to the model as it is.

    Raises:
        BadRequest: it cannot be answered either way; `param` names the field.

    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", param="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise BadRequest(f"messages[{index}] must be an object with role and content", param=f"messages[{index}]")
        _check_fields(message, f"messages[{index}]")
    options = _tools(body)
    if reason := _unplannable(messages, options):
        return Question("", forward=Forward(reason, tuple(map(_raw, messages, range(len(messages)))), options))
    turns = [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system" and turn.content)
    spoken = [turn for turn in turns if turn.role != "system"]
    if not spoken or spoken[-1].role != "user":
        raise BadRequest("the last message must be the user's", param="messages")
    return Question(spoken[-1].content, system, tuple(turn for turn in spoken[:-1] if turn.content))


def _check_fields(message: Mapping[str, Any], where: str) -> None:
    """What a message may have beside role and content, whether it will be planned for or goes to the model."""
    for name in ("name", "tool_call_id"):
        if message.get(name) is not None and not isinstance(message[name], str):
            raise BadRequest(f"{where}.{name} must be a text", param=f"{where}.{name}")
    if (calls := message.get("tool_calls")) is not None and not _objects(calls):
        raise BadRequest(f"{where}.tool_calls must be a list of objects", param=f"{where}.tool_calls")


def _objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request's tools and what is said about them; nothing when there are none."""
    tools = body.get("tools")
    if tools is not None and not _objects(tools):
        raise BadRequest("tools must be a list of objects", param="tools")
    if not isinstance(body.get("parallel_tool_calls"), bool | None):
        raise BadRequest("parallel_tool_calls must be true or false", param="parallel_tool_calls")
    if not tools:
        if body.get("tool_choice") not in (*NO_CHOICE, "none", "auto"):
            raise BadRequest("tool_choice is for requests that have tools", param="tool_choice")
        return {}
    return {name: body[name] for name in TOOL_FIELDS if body.get(name) not in NO_CHOICE}


def _unplannable(messages: Sequence[Mapping[str, Any]], tools: Mapping[str, Any]) -> str:
    """What of a request a plan has no place for; empty when there is nothing."""
    if tools:
        return "the request has tools"
    if any(message.get("role") == "tool" or message.get("tool_calls") for message in messages):
        return "the conversation has calls of tools"
    parts = [part for message in messages for part in _parts(message)]
    if any(isinstance(part, dict) and part.get("type") not in ("text", None) for part in parts):
        return "the conversation has parts that are no text"
    return ""


def _parts(message: Mapping[str, Any]) -> Sequence[Any]:
    content = message.get("content")
    return content if isinstance(content, list) else ()


def _raw(message: Mapping[str, Any], index: int) -> RawMessage:
    """A message as it will be sent: what the API knows of it, and without a tag that is meant for OptiLLM."""
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or (role != "tool" and role not in ROLES):
        raise BadRequest(
            f"messages[{index}].role must be one of {', '.join(ROLES)}, tool", param=f"messages[{index}].role"
        )
    if content is not None and not isinstance(content, str) and not (isinstance(content, list) and _readable(content)):
        where = f"messages[{index}].content"
        raise BadRequest(f"{where} must be a string or a list of parts with a type", param=where)
    fields = {name: message[name] for name in FIELDS if message.get(name) is not None}
    if isinstance(content, str):
        fields["content"] = _untagged(content)
    return RawMessage(fields)


def _readable(parts: Sequence[Any]) -> bool:
    """Whether OptiLLM and the API can tell the parts apart, and the texts among them are texts."""
    return all(
        isinstance(part, dict)
        and isinstance(part.get("type"), str)
        and (part["type"] != "text" or isinstance(part.get("text"), str))
        for part in parts
    )


def question_from_text(system_prompt: str, text: str) -> Question:
    """Read what OptiLLM made of a conversation: marked turns in one text, or another approach's answer.

    One turn alone loses its mark. Several keep theirs, for a turn may itself contain something like a mark.
    """
    only = text.removeprefix(TURN[0])
    several = any(f"\n{mark}" in only for mark in TURN)
    return Question(text if several else only, system_prompt or "")


def _message(message: Mapping[str, Any], where: str) -> Message:
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        known = ", ".join(ROLES)
        raise BadRequest(f"{where}.role must be one of {known}, tool", param=f"{where}.role")
    content = _text(message.get("content"), f"{where}.content")
    if not content.strip() and role != "assistant":
        raise BadRequest(f"{where}.content is empty", param=f"{where}.content")
    return Message(cast(Role, ROLES[role]), content)


def _text(content: object, where: str) -> str:
    if isinstance(content, str):
        return _untagged(content)
    if content is None:
        return ""
    if isinstance(content, list):
        return " ".join(_text(_part(part, where), where) for part in cast(Sequence[Any], content))
    raise BadRequest(f"{where} must be a string or a list of text parts", param=where)


def _part(part: object, where: str) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return cast(str, part["text"])
    raise BadRequest(f"{where} must be a string or a list of parts with a type", param=where)


def _untagged(content: str) -> str:
    """A tag that names an approach is OptiLLM's, not the model's; OptiLLM 0.3 leaves it in."""
    return cast(str, server.extract_optillm_approach(content)[0])
