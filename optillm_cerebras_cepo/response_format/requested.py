"""The requested response format, and how an answer is checked against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.response_format.descriptions import one_line, type_name
from optillm_cerebras_cepo.response_format.json_text import InvalidJson, embedded, fenced, is_json, parse_json
from optillm_cerebras_cepo.response_format.schema import Schema

PARAM = "response_format"


class RequestedFormat:
    """A response format: any JSON object, or JSON that meets a schema. Thread-safe.

    `pattern` and `patternProperties` are not checked, because a regular expression can run for ever. Neither is what
    depends on them: `additionalProperties` beside `patternProperties`, and `unevaluatedProperties` in a schema that has
    `patternProperties` anywhere. `format` is an annotation, as JSON Schema defines it.

    Args:
        response_format: OpenAI's field, of type `json_object` or `json_schema`.

    Raises:
        BadRequest: the type is another one, or the schema cannot be used.

    """

    def __init__(self, response_format: Mapping[str, Any]) -> None:
        self._schema: Schema | None = None
        self._openings: tuple[str, ...] = ("{",)
        match response_format:
            case {"type": "json_object"}:
                pass
            case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
                self._schema = Schema(schema, PARAM)
                if schema.get("type") != "object":
                    self._openings = ("{", "[")
            case {"type": "json_schema"}:
                raise BadRequest(f"{PARAM}.json_schema.schema must be a JSON schema, as an object", param=PARAM)
            case _:
                raise BadRequest(f"{PARAM}.type must be json_object or json_schema", param=PARAM)

    def problem(self, text: str) -> str | None:
        """Return what is wrong with an answer and where, in one line of at most 200 characters; None if it matches."""
        try:
            value = parse_json(text)
        except InvalidJson as error:
            return one_line(str(error))
        if self._schema is not None:
            return self._schema.problem(value)
        return None if isinstance(value, dict) else one_line(f"must be an object, not {type_name(value)}", at=())

    def extract(self, text: str) -> str:
        """Return the JSON in an answer: in a code fence, or in a text.

        Return the text unchanged if it contains no JSON, or several pieces.
        """
        if is_json(text):
            return text
        found = {part for part in fenced(text) if part.startswith(self._openings)} or {
            part for part in embedded(text) if part.startswith(self._openings)
        }
        return found.pop() if len(found) == 1 else text
