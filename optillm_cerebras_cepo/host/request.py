"""The validated request, made once from the body: before any call, so that an invalid field costs nothing.

The client's last user message is the question, the messages before it are its context.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import flask

from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.chat import ForcedFunction, Message, PassthroughRequest, Question, RawMessage
from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host import configuration
from optillm_cerebras_cepo.host.api_schema import TOOL_CHOICE, TOOLS, RemovedFields, clean, clean_message, is_empty
from optillm_cerebras_cepo.host.parameters import function_format, parameters_from
from optillm_cerebras_cepo.response_format import RequestedFormat
from optillm_cerebras_cepo.settings.loading import load, misspelt_fields

TOOL_CHOICES = ("none", "auto", "required")  # besides an object that names a function
UNSET: tuple[object, ...] = (None, "", {})  # values of tool_choice that choose nothing
MARKS = ("User: ", "Assistant: ")  # before the turns in OptiLLM's text of a conversation (server.py:661)

_INCOMING = "cepo_cerebras_request"  # on flask.g


def question_from(body: Mapping[str, Any], *, plan: bool = True) -> Question:
    """Return the question of a request body, without empty messages; `fitted` lists what was removed.

    With tools, tool calls or images no plan is possible: the question then has a PassthroughRequest. There are two
    exceptions: a single function that must be called, because its arguments are an answer in a response format, and
    `tool_choice` `none`.

    Args:
        body: of the request.
        plan: whether an answer can be planned at all.

    Raises:
        BadRequest: the messages or the tools are not valid; `param` names the field.

    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", param="messages")
    removed = RemovedFields()
    cleaned = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise BadRequest(f"messages[{index}] must be an object with role and content", param=f"messages[{index}]")
        cleaned.append(clean_message(message, f"messages[{index}]", removed))
    options = _tool_options(body, removed)
    _check_last(cleaned)
    turns = [message for message in cleaned if not is_empty(message)]
    if len(turns) < len(cleaned):
        removed.add("messages", "turns without content left out")
    if not turns:
        raise BadRequest("messages must have at least one message with content", param="messages")
    function = _forced_function(options) if plan else None
    plannable = _with_calls_as_texts(turns, function.name) if function else turns
    offers_tools = bool(options) and not function and not (plan and options.get("tool_choice") == "none")
    if reason := _passthrough_reason(plannable, offers_tools):
        passthrough = PassthroughRequest(reason, tuple(map(RawMessage, turns)), options)
        return Question("", passthrough=passthrough, fitted=removed.notes)
    if options and not function:
        removed.add("tools", "left out, because tool_choice is none")
    plain = []
    for turn in plannable:
        removed.add_fields("messages", {name: one for name, one in turn.items() if name not in ("role", "content")})
        plain.append(Message(turn["role"], _text(turn["content"])))
    return replace(_plannable_question(plain), function=function, fitted=removed.notes)


def _plannable_question(turns: Sequence[Message]) -> Question:
    """Return the last user message as the question, the leading system messages as its prompt, the rest as history.

    Later system messages stay between the earlier turns, whose meaning they may change. Those after the last user
    message are moved before it: CePO's prompts take the place of the question, and must be the last message.
    """
    last = max(index for index, turn in enumerate(turns) if turn.role == "user")
    others = [*turns[:last], *turns[last + 1 :]]
    leading = list(takewhile(lambda turn: turn.role == "system", others))
    system = "\n\n".join(turn.content for turn in leading)
    return Question(turns[last].content, system, tuple(others[len(leading) :]))


def _check_last(turns: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a conversation that ends with an empty user message: it contains no question."""
    for index, turn in reversed(list(enumerate(turns))):
        if turn["role"] == "user" and is_empty(turn):
            raise BadRequest(f"messages[{index}].content is empty", param=f"messages[{index}].content")
        if turn["role"] != "system" and not is_empty(turn):
            return


def _tool_options(body: Mapping[str, Any], removed: RemovedFields) -> dict[str, Any]:
    """Return the request's tools and their options under the API's names; empty if there are no tools."""
    tools, choice = body.get("tools"), body.get("tool_choice")
    cleaned = clean([] if tools is None else tools, TOOLS, "tools", removed)
    parallel = body.get("parallel_tool_calls")
    if not isinstance(parallel, bool | None):
        raise BadRequest("parallel_tool_calls must be true or false", param="parallel_tool_calls")
    if not cleaned:
        if choice not in (*UNSET, "none", "auto"):
            raise BadRequest("tool_choice is allowed only with tools", param="tool_choice")
        return {}
    if choice not in (*UNSET, *TOOL_CHOICES):
        if not isinstance(choice, dict):
            raise BadRequest(f"tool_choice must be one of {', '.join(TOOL_CHOICES)}, or an object", param="tool_choice")
        choice = clean(choice, TOOL_CHOICE, "tool_choice", removed)
    options = {"tools": cleaned, "tool_choice": choice, "parallel_tool_calls": parallel}
    return {name: value for name, value in options.items() if value not in UNSET}


def _forced_function(options: Mapping[str, Any]) -> ForcedFunction | None:
    """Return the function that the model must call, if `tool_choice` leaves only one, and it takes arguments."""
    tools, choice = [tool["function"] for tool in options.get("tools", ())], options.get("tool_choice")
    if isinstance(choice, dict):
        tools = [function for function in tools if function["name"] == choice["function"]["name"]]
    elif choice != "required":
        return None
    if len(tools) != 1 or not tools[0].get("parameters"):
        return None
    function = tools[0]
    return ForcedFunction(function["name"], function.get("description"), function["parameters"], function.get("strict"))


def _with_calls_as_texts(turns: Sequence[Mapping[str, Any]], function: str) -> Sequence[Mapping[str, Any]]:
    """Return the turns with the calls of this function as texts, and without the results of these calls.

    Return them unchanged if another function was called.
    """
    texts: list[Mapping[str, Any]] = []
    for turn in turns:
        called = [call["function"] for call in turn.get("tool_calls", ())]
        if any(one["name"] != function for one in called):
            return turns
        if called:
            parts = [_text(turn.get("content")), *(one["arguments"] for one in called)]
            texts.append({"role": turn["role"], "content": "\n".join(filter(None, parts))})
        elif turn["role"] != "tool":
            texts.append(turn)
    return texts


def _text(content: str | Sequence[Mapping[str, Any]] | None) -> str:
    return content if isinstance(content, str) else " ".join(part["text"] for part in content or ())


def _passthrough_reason(turns: Sequence[Mapping[str, Any]], offers_tools: bool) -> str:
    """Return why the request cannot be planned; empty if it can."""
    if offers_tools:
        return "the request has tools"
    if any(turn["role"] == "tool" or turn.get("tool_calls") for turn in turns):
        return "the conversation has calls of tools"
    contents = [turn["content"] for turn in turns if isinstance(turn["content"], list)]
    if any(part["type"] != "text" for content in contents for part in content):
        return "the conversation has parts that are no text"
    if next((turn["role"] for turn in reversed(turns) if turn["role"] != "system"), "") != "user":
        return "the conversation does not end with a message of the user"
    return ""


def question_from_text(system_prompt: str, text: str) -> Question:
    """Return the question of OptiLLM's text of a conversation, or of the answer of the approach before ours.

    A single turn loses its mark. Several turns keep theirs: a turn may itself contain a line with a mark.
    """
    single = text.removeprefix(MARKS[0])
    has_several = any(f"\n{mark}" in single for mark in MARKS)
    return Question(text if has_several else single, system_prompt or "")


@dataclass(frozen=True)
class IncomingRequest:
    """The record of a request that OptiLLM will hand to our plugin, kept on `flask.g`.

    Attributes:
        parsed: the request.
        makes_reply: whether our plugin makes the reply; otherwise OptiLLM does, from the text that we return.
        gets_conversation: for each call of our plugin in turn, whether it is to answer the conversation; otherwise it
            is to answer what the approach before it has returned. Endless.

    """

    parsed: CepoRequest
    makes_reply: bool
    gets_conversation: Iterator[bool] = field(repr=False)


def incoming_request() -> IncomingRequest | None:
    """Return the record of the current request; None outside of a request context, as in OptiLLM's batch mode."""
    return flask.g.get(_INCOMING) if flask.has_request_context() else None


def set_incoming_request(incoming: IncomingRequest) -> None:
    """Keep the record for as long as the current request lasts."""
    setattr(flask.g, _INCOMING, incoming)


def parse_request(body: Mapping[str, Any], question: Question | None = None) -> CepoRequest:
    """Return the request of a body.

    Args:
        body: the fields of the client's body.
        question: what to answer instead of the body's messages.

    Raises:
        BadRequest: a field is not valid; `param` names it.
        BadConfiguration: the server's own settings are not valid.

    """
    parameters = parameters_from(body)
    parameters = replace(parameters, fitted=(*parameters.fitted, *misspelt_fields(body)))
    settings = load(configuration.cepo_fields(), os.environ, body)
    limit = settings.max_bestofn_n
    if limit is not None and parameters.n > limit:
        raise BadRequest(f"n must be at most {limit} on this server: it makes a candidate for each answer", param="n")
    form = RequestedFormat(parameters.response_format) if parameters.response_format else None
    question = question or question_from(body, plan=settings.effort != "none")
    request = CepoRequest(question, settings, parameters, form)
    if question.function is None:
        return request
    try:
        return _answered_by_call(request, question.function)
    except BadRequest:  # a schema that we cannot check; whether the model can use it, the API decides
        return replace(request, question=question_from(body, plan=False))


def _answered_by_call(request: CepoRequest, function: ForcedFunction) -> CepoRequest:
    """Return the request for an answer that consists of the function's arguments."""
    wanted = function_format(function)
    fitted = request.parameters.fitted
    if request.response_format:
        fitted += ("response_format: left out, because tool_choice asks for a call of a function",)
    parameters = replace(request.parameters, response_format=wanted, fitted=fitted)
    return replace(request, parameters=parameters, response_format=RequestedFormat(wanted))
