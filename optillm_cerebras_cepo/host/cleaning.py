"""Messages, tools and formats as the API takes them: it answers 400 to every field that its schema does not name.

The tables are the API's closed schema (official OpenAPI of 2026-07). A null is a field that is not given. JSON of the
client's own, such as a tool's `parameters`, is passed on unread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import optillm.server as server

from optillm_cerebras_cepo.errors import BadRequest

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
SHOWN = re.compile("[A-Za-z_]{1,32}")  # a field's name that is safe to show: another may be a prompt or a key
MOST_LINES = 20  # about dropped fields, in one reply
NAMES = {str: "a text", bool: "true or false", int: "a whole number", dict: "an object", list: "a list of objects"}
NO_PARTS = "must be a string or a list of parts with a type"


@dataclass(frozen=True)
class Field:
    """A field of the API's schema.

    Attributes:
        kind: the type of its value; `object` for any.
        fields: of the object, or of each object in the list; None for JSON that is passed on unread.
        required: whether the API refuses an object without it.

    """

    kind: type
    fields: Mapping[str, Field] | None = None
    required: bool = True


TEXT, OPTIONAL_TEXT = Field(str), Field(str, required=False)
TURN = {"role": TEXT, "content": Field(object, required=False), "name": OPTIONAL_TEXT}
CALLED = Field(dict, {"name": TEXT, "arguments": TEXT})
CALL = {"id": TEXT, "type": TEXT, "function": CALLED, "index": Field(int, required=False)}
MESSAGES: Mapping[str, Mapping[str, Field]] = {
    "system": TURN,
    "user": TURN,
    "assistant": {**TURN, "reasoning": OPTIONAL_TEXT, "tool_calls": Field(list, CALL, required=False)},
    "tool": {**TURN, "tool_call_id": TEXT},
}
# No model of the simulator sees images, but some of the API's do: it knows what an image_url may hold.
PARTS: Mapping[str, Mapping[str, Field]] = {
    "text": {"type": TEXT, "text": TEXT},
    "image_url": {"type": TEXT, "image_url": Field(object)},
}
FUNCTION = {
    "name": TEXT,
    "description": OPTIONAL_TEXT,
    "parameters": Field(dict, required=False),
    "strict": Field(bool, required=False),
}
TOOLS = Field(list, {"type": TEXT, "function": Field(dict, FUNCTION)})
TOOL_CHOICE = Field(dict, {"type": TEXT, "function": Field(dict, {"name": TEXT})})

SCHEMA = {"name": TEXT, "description": OPTIONAL_TEXT, "schema": Field(dict), "strict": Field(bool, required=False)}
FORMATS = {
    "json_object": Field(dict, {"type": TEXT}),
    "json_schema": Field(dict, {"type": TEXT, "json_schema": Field(dict, SCHEMA)}),
}


class Dropped:
    """What was left out of a request, a line for each kind, such as `messages: cache_control dropped`."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it, in the order in which it came up."""
        return tuple(self._lines)

    def add(self, where: str, what: str) -> None:
        """Note that something was left out of the field at `where`, such as `messages[2].tool_calls[0]`."""
        if len(self._lines) < MOST_LINES:
            self._lines[f"{re.split('[.[]', where)[0]}: {what}"] = None

    def add_fields(self, where: str, fields: Mapping[str, Any]) -> None:
        """Note that these fields were left out; one without a value is no loss."""
        for name, value in fields.items():
            if value:
                self.add(where, f"{name if SHOWN.fullmatch(name) else 'a field'} dropped")


def cleaned(value: Any, field: Field, where: str, dropped: Dropped) -> Any:
    """Return a value with the fields that the API knows, at every depth.

    Raises:
        BadRequest: a known field has a wrong type, or a required one is missing; `param` names it.

    """
    if field.kind is object:
        if value is None:
            raise BadRequest(f"{where} must be given", param=where)
        return value
    if not _is_of(value, field.kind):
        raise BadRequest(f"{where} must be {NAMES[field.kind]}", param=where)
    if field.fields is None:
        return value
    if field.kind is list:
        return [_object(item, field.fields, f"{where}[{index}]", dropped) for index, item in enumerate(value)]
    return _object(value, field.fields, where, dropped)


def _is_of(value: object, kind: type) -> bool:
    """Return whether a value has this JSON type; true is an int to Python, and no number to JSON."""
    return type(value) is kind and (not isinstance(value, list) or all(isinstance(one, dict) for one in value))


def _object(value: Mapping[str, Any], fields: Mapping[str, Field], where: str, dropped: Dropped) -> dict[str, Any]:
    dropped.add_fields(where, {name: one for name, one in value.items() if name not in fields})
    return {
        name: cleaned(value.get(name), field, f"{where}.{name}", dropped)
        for name, field in fields.items()
        if field.required or value.get(name) is not None
    }


def cleaned_message(message: Mapping[str, Any], where: str, dropped: Dropped) -> dict[str, Any]:
    """Return a turn as the API takes it; one that `says_nothing` may lack a content.

    A developer's turn is a system turn. A tool's result always has a content. A tag that names an approach is OptiLLM's
    and is taken out.

    Raises:
        BadRequest: the role, the content or a further field is not valid; `param` names it.

    """
    role = message.get("role")
    if not isinstance(role, str) or (role != "tool" and role not in ROLES):
        raise BadRequest(f"{where}.role must be one of {', '.join(ROLES)}, tool", param=f"{where}.role")
    role = ROLES.get(role, role)
    content = _content(message.get("content"), f"{where}.content", role, dropped)
    fields = {**message, "role": role, "content": "" if content is None and role == "tool" else content}
    if not isinstance(fields.get("reasoning"), str):  # other clients' forms of it
        dropped.add_fields(where, {"reasoning": fields.pop("reasoning", None)})
    made = _object(fields, MESSAGES[role], where, dropped)
    if not made.get("tool_calls", True):
        del made["tool_calls"]
    for index, call in enumerate(made.get("tool_calls", ())):
        if call["type"] != "function":
            at = f"{where}.tool_calls[{index}].type"
            raise BadRequest(f"{at} must be function", param=at)
    return made


def says_nothing(turn: Mapping[str, Any]) -> bool:
    """Return whether a cleaned turn has neither text nor image, and no tool has been called in it."""
    if turn["role"] == "tool" or turn.get("tool_calls"):
        return False
    content = turn.get("content")
    return not (content.strip() if isinstance(content, str) else any(map(_says_something, content or ())))


def _says_something(part: Mapping[str, Any]) -> bool:
    return part["type"] != "text" or bool(part["text"].strip())


def _content(content: object, where: str, role: str, dropped: Dropped) -> str | list[dict[str, Any]] | None:
    if isinstance(content, str):
        return _untagged(content, role)
    if content is None:
        return None
    if not isinstance(content, list):
        raise BadRequest(f"{where} {NO_PARTS}", param=where)
    parts = (_part(part, where, role, dropped) for part in content)
    return [part for part in parts if part is not None] or None


def _part(part: object, where: str, role: str, dropped: Dropped) -> dict[str, Any] | None:
    """Return a part of a content as the API takes it; None for one that says nothing.

    An earlier answer is as good without a part of another kind, such as `thinking`. A question is not.
    """
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise BadRequest(f"{where} {NO_PARTS}", param=where)
    if part["type"] not in PARTS:
        if role != "assistant":
            raise BadRequest(f"{where} may have parts of type {' and '.join(PARTS)} only", param=where)
        dropped.add(where, "a part that is neither text nor image dropped")
        return None
    if part["type"] == "text":
        if not isinstance(part.get("text", ...), str | None):
            raise BadRequest(f"{where} {NO_PARTS}", param=where)
        part = {**part, "text": _untagged(part.get("text") or "", role)}
        if not part["text"]:
            return None
    return _object(part, PARTS[part["type"]], where, dropped)


def _untagged(text: str, role: str) -> str:
    """Return the text without a tag that names an approach; OptiLLM 0.3 leaves it in. It reads none in results."""
    return text if role == "tool" else cast(str, server.extract_optillm_approach(text)[0])
