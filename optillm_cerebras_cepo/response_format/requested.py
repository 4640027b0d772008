"""The requested response format, and how an answer is checked against it and its JSON schema, in bounded time."""

from __future__ import annotations

import functools
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.response_format.json_text import (
    InvalidJson,
    describe_error,
    embedded,
    fenced,
    is_json,
    one_line,
    parse_json,
    type_name,
)

CHARACTERS = 100_000  # of a schema as JSON; OpenAI's limit is of this size
SECONDS = 2.0  # of this thread's processor time for one check: a busy machine changes no result
ERRORS = 20  # that are collected; one of them is reported
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")

Check = Callable[[Any, Any, Any, Any], Any]
_budget = threading.local()

PARAM = "response_format"


class Schema:
    """A JSON schema. Thread-safe.

    Args:
        given: the schema, of any dialect that jsonschema supports; 2020-12 if it names none. It is copied.
        param: the request's field, for errors.

    Raises:
        BadRequest: it is not a valid schema, is too large, or has a reference that leads out of it.

    """

    def __init__(self, given: Mapping[str, Any], param: str) -> None:
        try:
            self._validator = _validator(given)
            return
        except RecursionError:
            why = "is nested too deeply"
        except Unresolvable:
            why = "has a $ref that leads out of it or nowhere; copy what it means into $defs"
        except _Unsuited as error:
            why = str(error)
        except Exception:  # any error of the library: the schema is the client's
            why = "is not a valid JSON schema"
        raise BadRequest(f"the schema in {param} {why}", param=param)

    def problem(self, value: object) -> str | None:
        """Return in one line what is wrong with a value and where; None if it matches."""
        _budget.until = time.thread_time() + SECONDS
        try:
            errors = list(itertools.islice(self._validator.iter_errors(value), ERRORS))
            if not errors:
                return None
            outermost = min(errors, key=lambda error: len(error.absolute_path))
            best = best_match([outermost])  # of the alternatives of an anyOf, the one that comes nearest
            return one_line(describe_error(best), at=best.absolute_path)
        except RecursionError:
            return one_line("is nested too deeply to be checked", at=())
        except _TooLong:
            return one_line("is too large to be checked", at=())
        except Exception:  # any error of the library: neither schema nor value is ours
            return one_line("cannot be checked against the schema", at=())


class _Unsuited(Exception):
    """A schema that may be valid cannot be used."""


class _TooLong(Exception):
    """A check has exceeded its time."""


def _validator(given: Mapping[str, Any]) -> Any:
    written = json.dumps(given, allow_nan=False)
    if len(written) > CHARACTERS:
        raise _Unsuited(f"is longer than {CHARACTERS:,} characters")
    schema = json.loads(written)
    dialect = validator_for(schema, default=Draft202012Validator)
    schema.pop("$schema", None)
    keys = set(_keys(schema))
    if "$schema" in keys:  # the library would go on there with a validator of its own, patterns and all
        raise _Unsuited("may name a $schema at its top only")
    _check(dialect, schema)
    _check_references(dialect, schema)
    registry: Registry[Any] = Registry()  # an empty one fetches nothing
    return _bounded(dialect, "patternProperties" in keys)(schema, registry=registry)


def _check(dialect: Any, schema: object) -> None:
    # Formats are not checked: patterns are never used, so they may be ones that Python cannot read.
    dialect.check_schema(schema, format_checker=FormatChecker(formats=()))


def _keys(schema: object) -> Iterator[str]:
    """Yield every key that may be a keyword; a "$schema" that is a schema itself is a property of that name."""
    if isinstance(schema, dict):
        yield from (key for key, value in schema.items() if key != "$schema" or isinstance(value, str))
    if isinstance(schema, dict | list):
        for part in schema.values() if isinstance(schema, dict) else schema:
            yield from _keys(part)


def _check_references(dialect: Any, schema: object) -> None:
    """Follow every reference. Raise Unresolvable, or the library's error for a reference to something else."""
    specification = specification_with(dialect.META_SCHEMA["$schema"])
    root: Any = specification.create_resource(schema)
    registry: Registry[Any] = Registry()
    todo: deque[tuple[Any, Any, bool]] = deque([(registry.resolver_with_root(root), root, False)])
    seen: set[int] = set()
    while todo:
        resolver, resource, referred = todo.pop()
        contents = resource.contents
        if id(contents) in seen or isinstance(contents, bool):
            continue
        if referred:
            _check(dialect, contents)  # a pointer may lead to a place that is no part of the schema's own check
        seen.add(id(contents))
        for keyword in REFERENCES:
            if isinstance(reference := contents.get(keyword), str):
                found = resolver.lookup(reference)
                todo.appendleft((found.resolver, specification.create_resource(found.contents), True))
        todo += [(resolver.in_subresource(part), part, False) for part in resource.subresources()]


@functools.lru_cache
def _bounded(dialect: Any, patterned: bool) -> Any:
    """Return the dialect's validator without regular expressions and with a time limit."""
    checks = {keyword: _limited(check) for keyword, check in dialect.VALIDATORS.items()}
    checks |= dict.fromkeys(("pattern", "patternProperties"), _unchecked)
    checks["uniqueItems"] = _unique
    if patterned:
        checks["additionalProperties"] = _unless_patterned(checks["additionalProperties"])
        checks["unevaluatedProperties"] = _unchecked
    return extend(dialect, validators=checks)


def _limited(check: Check) -> Check:
    def limited(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
        if time.thread_time() > _budget.until:
            raise _TooLong
        return check(validator, wanted, value, schema)

    return limited


def _unless_patterned(check: Check) -> Check:
    def unless(validator: Any, wanted: Any, value: Any, schema: Any) -> Any:
        return () if "patternProperties" in schema else check(validator, wanted, value, schema)

    return unless


def _unchecked(*_: Any) -> tuple[()]:
    return ()


def _unique(_: Any, wanted: Any, value: Any, __: Any) -> Iterator[Any]:
    """Check `uniqueItems` in linear time; the library compares all pairs where items cannot be sorted."""
    if wanted and isinstance(value, list) and len(set(map(_frozen, value))) < len(value):
        yield ValidationError("")


def _frozen(value: object) -> object:
    """Return a hashable value that is equal for values that JSON Schema calls equal: 1 is 1.0, and neither is true."""
    if isinstance(value, dict):
        return frozenset((key, _frozen(part)) for key, part in value.items())
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    return (bool, value) if isinstance(value, bool) else value


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
