"""The API's schema for messages, tools and formats: it answers 400 to every field that its schema does not name.

The tables follow the official OpenAPI document of 2026-07. A null is a field that is not given. JSON that the schema
leaves open, such as a tool's `parameters`, is passed on unread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host import optillm

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
SAFE_NAME = re.compile("[A-Za-z_]{1,32}")  # of a field, for messages: another name may be a prompt or a key
MAX_NOTES = 20  # about removed fields, in one reply
TYPE_NAMES = {str: "a string", bool: "true or false", int: "an integer", dict: "an object", list: "a list of objects"}
BAD_CONTENT = "must be a string or a list of parts with a type"


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
# What an image_url contains is left to the API: some of its models read images.
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


class RemovedFields:
    """Notes about what was removed from a request, one for each kind, such as `messages: cache_control dropped`."""

    def __init__(self) -> None:
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes in the order in which they were added, at most MAX_NOTES."""
        return tuple(self._notes)

    def add(self, where: str, note: str) -> None:
        """Add a note about the body's field that the path `where`, such as `messages[2].tool_calls[0]`, begins with."""
        if len(self._notes) < MAX_NOTES:
            self._notes[f"{re.split('[.[]', where)[0]}: {note}"] = None

    def add_fields(self, where: str, fields: Mapping[str, Any]) -> None:
        """Add a note for each of the removed fields that has a value."""
        for name, value in fields.items():
            if value:
                self.add(where, f"{name if SAFE_NAME.fullmatch(name) else 'a field'} dropped")


def clean(value: Any, field: Field, where: str, removed: RemovedFields) -> Any:
    """Return a value with only the fields of the API's schema, at every depth.

    Raises:
        BadRequest: a field has a wrong type, or a required one is missing; `param` is its path.

    """
    if field.kind is object:
        if value is None:
            raise BadRequest(f"{where} is missing", param=where)
        return value
    if not _has_type(value, field.kind):
        raise BadRequest(f"{where} must be {TYPE_NAMES[field.kind]}", param=where)
    if field.fields is None:
        return value
    if field.kind is list:
        return [_clean_object(item, field.fields, f"{where}[{index}]", removed) for index, item in enumerate(value)]
    return _clean_object(value, field.fields, where, removed)


def _has_type(value: object, kind: type) -> bool:
    """Return whether a value has this JSON type. In Python, true is an int as well."""
    return type(value) is kind and (not isinstance(value, list) or all(isinstance(item, dict) for item in value))


def _clean_object(
    value: Mapping[str, Any], fields: Mapping[str, Field], where: str, removed: RemovedFields
) -> dict[str, Any]:
    removed.add_fields(where, {name: item for name, item in value.items() if name not in fields})
    return {
        name: clean(value.get(name), field, f"{where}.{name}", removed)
        for name, field in fields.items()
        if field.required or value.get(name) is not None
    }


def clean_message(message: Mapping[str, Any], where: str, removed: RemovedFields) -> dict[str, Any]:
    """Return a message as the API accepts it; an empty one may lack its content.

    A developer message becomes a system message. A tool's result always has a content.

    Raises:
        BadRequest: the role, the content or a further field is not valid; `param` is its path.

    """
    role = message.get("role")
    if not isinstance(role, str) or (role != "tool" and role not in ROLES):
        raise BadRequest(f"{where}.role must be one of {', '.join(ROLES)}, tool", param=f"{where}.role")
    role = ROLES.get(role, role)
    content = _clean_content(message.get("content"), f"{where}.content", role, removed)
    fields = {**message, "role": role, "content": "" if content is None and role == "tool" else content}
    if not isinstance(fields.get("reasoning"), str):  # some clients send an object
        removed.add_fields(where, {"reasoning": fields.pop("reasoning", None)})
    cleaned = _clean_object(fields, MESSAGES[role], where, removed)
    if not cleaned.get("tool_calls", True):
        del cleaned["tool_calls"]
    for index, call in enumerate(cleaned.get("tool_calls", ())):
        if call["type"] != "function":
            path = f"{where}.tool_calls[{index}].type"
            raise BadRequest(f"{path} must be function", param=path)
    return cleaned


def is_empty(message: Mapping[str, Any]) -> bool:
    """Return whether a clean message has neither text nor image nor tool call; a tool's result is never empty."""
    if message["role"] == "tool" or message.get("tool_calls"):
        return False
    content = message.get("content") or ""
    if isinstance(content, str):
        return not content.strip()
    return all(part["type"] == "text" and not part["text"].strip() for part in content)


def _clean_content(content: object, where: str, role: str, removed: RemovedFields) -> str | list[dict[str, Any]] | None:
    if isinstance(content, str):
        return _without_tag(content, role)
    if content is None:
        return None
    if not isinstance(content, list):
        raise BadRequest(f"{where} {BAD_CONTENT}", param=where)
    parts = (_clean_part(part, where, role, removed) for part in content)
    return [part for part in parts if part is not None] or None


def _clean_part(part: object, where: str, role: str, removed: RemovedFields) -> dict[str, Any] | None:
    """Return a part of a content as the API accepts it; None for an empty text, or one that may be removed.

    Parts of other kinds, such as `thinking`, are removed from the assistant's messages and refused in all others.
    """
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise BadRequest(f"{where} {BAD_CONTENT}", param=where)
    if part["type"] not in PARTS:
        if role != "assistant":
            raise BadRequest(f"{where} may have parts of type {' and '.join(PARTS)} only", param=where)
        removed.add(where, "a part that is neither text nor image dropped")
        return None
    if part["type"] == "text":
        if not isinstance(part.get("text", ...), str | None):
            raise BadRequest(f"{where} {BAD_CONTENT}", param=where)
        part = {**part, "text": _without_tag(part.get("text") or "", role)}
        if not part["text"]:
            return None
    return _clean_object(part, PARTS[part["type"]], where, removed)


def _without_tag(text: str, role: str) -> str:
    """Remove the tag that chooses an approach, which OptiLLM 0.3 leaves in; it reads none in a tool's result."""
    return text if role == "tool" else optillm.without_tag(text)
