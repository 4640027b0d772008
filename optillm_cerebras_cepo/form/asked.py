"""The form that is asked for, and how an answer keeps to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.errors import BadRequest
from optillm_cerebras_cepo.form.reading import Unreadable, embedded, fenced, is_json, load
from optillm_cerebras_cepo.form.schema import Schema
from optillm_cerebras_cepo.form.wording import kind, line

PARAM = "response_format"


class Form:
    """The form of an answer: any JSON object, or JSON that meets a schema. For many threads.

    Not checked are `pattern` and `patternProperties`, for a regular expression can run for ever, and what depends on
    them: `additionalProperties` beside `patternProperties`, and `unevaluatedProperties` in a schema that has
    `patternProperties` anywhere. `format` is an annotation, as JSON Schema has it.

    Args:
        response_format: OpenAI's field, of type `json_object` or `json_schema`.

    Raises:
        BadRequest: it is neither, or its schema cannot be used.

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
        """Say what is wrong with this answer and where, in one line of at most 200 characters; None: nothing is."""
        try:
            value = load(text)
        except Unreadable as error:
            return line(str(error))
        if self._schema is not None:
            return self._schema.problem(value)
        return None if isinstance(value, dict) else line(f"must be an object, not {kind(value)}", at=())

    def extract(self, text: str) -> str:
        """Return the JSON of this answer alone: out of a fence, or from between words.

        Where there is none, or more than one that may be meant, the text comes back as it is.
        """
        if is_json(text):
            return text
        found = {part for part in fenced(text) if part.startswith(self._openings)} or {
            part for part in embedded(text) if part.startswith(self._openings)
        }
        return found.pop() if len(found) == 1 else text
