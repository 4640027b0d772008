"""The client's messages as a Question: the last user turn asks, the turns before it keep their roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from optillm_cerebras_cepo.chat import Forward, Message, Question, RawMessage
from optillm_cerebras_cepo.errors import BadRequest
from optillm_cerebras_cepo.host.cleaning import (
    TOOL_CHOICE,
    TOOLS,
    Dropped,
    cleaned,
    cleaned_message,
    says_nothing,
)

CHOICES = ("none", "auto", "required")  # values of tool_choice beside a named function
NO_CHOICE: tuple[object, ...] = (None, "", {})  # values of tool_choice that choose nothing
TURN = ("User: ", "Assistant: ")  # how OptiLLM's parse_conversation marks the turns (server.py:661)


def question_from(body: Mapping[str, Any]) -> Question:
    """Read a request. Turns that say nothing are left out; `fitted` says what else was.

    One with tools, images or the results of tools is no question to plan for: its messages will go to the model.

    Raises:
        BadRequest: it cannot be answered either way; `param` names the field.

    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", param="messages")
    dropped = Dropped()
    turns = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise BadRequest(f"messages[{index}] must be an object with role and content", param=f"messages[{index}]")
        turns.append(cleaned_message(message, f"messages[{index}]", dropped))
    options = _tools(body, dropped)
    _check_last(turns)
    kept = [turn for turn in turns if not says_nothing(turn)]
    if len(kept) < len(turns):
        dropped.add("messages", "turns without content left out")
    if not kept:
        raise BadRequest("messages must have at least one message with content", param="messages")
    if reason := _unplannable(kept, options):
        return Question("", forward=Forward(reason, tuple(map(RawMessage, kept)), options), fitted=dropped.lines)
    for index, turn in enumerate(kept):
        dropped.add_fields("messages", {name: one for name, one in turn.items() if name not in ("role", "content")})
        kept[index] = {"role": turn["role"], "content": _text(turn["content"])}
    return _planned([Message(**turn) for turn in kept], dropped.lines)


def _planned(turns: Sequence[Message], fitted: tuple[str, ...]) -> Question:
    """Return the question to plan for: the last user turn, the system prompt, and the turns between.

    System turns before the first other turn are the system prompt. Later ones keep their places among the earlier
    turns, for they may change what an earlier one said. Those after the last user turn go right before it: a model
    answers the last turn, and CePO's prompts stand in the question's place.
    """
    asks = max((index for index, turn in enumerate(turns) if turn.role != "system"), default=None)
    if asks is None or turns[asks].role != "user":
        raise BadRequest("the last message must be the user's", param="messages")
    others = [*turns[:asks], *turns[asks + 1 :]]
    leading = list(takewhile(lambda turn: turn.role == "system", others))
    system = "\n\n".join(turn.content for turn in leading)
    return Question(turns[asks].content, system, tuple(others[len(leading) :]), fitted=fitted)


def _check_last(turns: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a conversation that ends with a user turn without content: there is no question in it."""
    for index, turn in reversed(list(enumerate(turns))):
        if turn["role"] == "user" and says_nothing(turn):
            raise BadRequest(f"messages[{index}].content is empty", param=f"messages[{index}].content")
        if turn["role"] != "system" and not says_nothing(turn):
            return


def _tools(body: Mapping[str, Any], dropped: Dropped) -> dict[str, Any]:
    """Return the request's tools and what is said about them, under the API's names; nothing when there are none."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    made = cleaned([] if tools is None else tools, TOOLS, "tools", dropped)
    parallel = body.get("parallel_tool_calls")
    if not isinstance(parallel, bool | None):
        raise BadRequest("parallel_tool_calls must be true or false", param="parallel_tool_calls")
    if not made:
        if choice not in (*NO_CHOICE, "none", "auto"):
            raise BadRequest("tool_choice is for requests that have tools", param="tool_choice")
        return {}
    if choice not in (*NO_CHOICE, *CHOICES):
        if not isinstance(choice, dict):
            raise BadRequest(f"tool_choice must be one of {', '.join(CHOICES)}, or an object", param="tool_choice")
        choice = cleaned(choice, TOOL_CHOICE, "tool_choice", dropped)
    options = {"tools": made, "tool_choice": choice, "parallel_tool_calls": parallel}
    return {name: value for name, value in options.items() if value not in NO_CHOICE}


def _unplannable(turns: Sequence[Mapping[str, Any]], tools: Mapping[str, Any]) -> str:
    """Return what of a request a plan has no place for; empty when there is nothing."""
    if tools:
        return "the request has tools"
    if any(turn["role"] == "tool" or turn.get("tool_calls") for turn in turns):
        return "the conversation has calls of tools"
    contents = [turn["content"] for turn in turns if isinstance(turn["content"], list)]
    if any(part["type"] != "text" for content in contents for part in content):
        return "the conversation has parts that are no text"
    return ""


def _text(content: str | Sequence[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else " ".join(part["text"] for part in content)


def question_from_text(system_prompt: str, text: str) -> Question:
    """Read what OptiLLM made of a conversation: marked turns in one text, or another approach's answer.

    One turn alone loses its mark. Several keep theirs, for a turn may itself contain something like a mark.
    """
    only = text.removeprefix(TURN[0])
    several = any(f"\n{mark}" in only for mark in TURN)
    return Question(text if several else only, system_prompt or "")
