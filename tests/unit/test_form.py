"""Answers held against the form that a request asks for: the right ones pass, and no input is an exception or slow."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.response_format import RequestedFormat

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True},
    },
    "required": ["name"],
    "additionalProperties": False,
}
OBJECT = RequestedFormat({"type": "json_object"})
RUNAWAY = "^(a+)+$"  # on many a's and another letter, Python's `re` takes years
MILLION = 1_000_000  # characters

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(st.text(max_size=8), parts, max_size=4),
    max_leaves=12,
)
ANY_SCHEMA = st.sampled_from(
    [
        PERSON,
        {"uniqueItems": True},
        {"type": ["object", "array"], "additionalProperties": {"type": "string"}, "items": {"type": "integer"}},
        {"anyOf": [{"type": "null"}, {"type": "number", "multipleOf": 0.1}, {"minLength": 2, "maxProperties": 1}]},
        {"oneOf": [{"type": "integer"}, {"minimum": 2}], "not": {"const": 5}},
        {"$defs": {"tree": {"items": {"$ref": "#/$defs/tree"}, "maxItems": 3}}, "$ref": "#/$defs/tree"},
        {"contains": {"type": "string"}, "propertyNames": {"maxLength": 3}, "dependentRequired": {"": ["a"]}},
        {"properties": {"a": {"type": "string"}}, "unevaluatedProperties": False},
    ]
)  # fmt: skip


def form(schema: Mapping[str, Any]) -> RequestedFormat:
    """The form that a schema asks for."""
    return RequestedFormat({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}})


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ('{"name": "Ada", "age": 36, "tags": ["a", "b"]}', None),
        (' {"name": "Ada", "age": 36.0}\n', None),
        ('{"name": "Ada", "age": "36"}', "$.age: must be of type integer, not a string"),
        ('{"name": "Ada", "age": true}', "$.age: must be of type integer, not a boolean"),
        ('{"name": "Ada", "age": -1}', "$.age: must be at least 0"),
        ('{"name": ""}', "$.name: must be at least 1 characters long"),
        ('{"name": "Ada", "tags": ["a", "c"]}', '$.tags[1]: must be one of "a", "b"'),
        ('{"name": "Ada", "tags": ["a", "a"]}', "$.tags: has an item twice"),
        ('{"name": "Ada", "Age": 36}', '$: may not have "Age"'),
        ("{}", '$: lacks "name"'),
        ("[]", "$: must be of type object, not an array"),
        ("null", "$: must be of type object, not null"),
        ("Ada", "it is not JSON, at line 1, column 1"),
        ('{"name": "Ada"', "it ends in the middle of the JSON"),
        ('{"name": "Ada', "it ends in the middle of the JSON"),
        ('{"name": "Ada"} 36', "it goes on after the end of the JSON, at line 1, column 17"),
        ("  ", "it is empty, where JSON is asked for"),
        ('{"name": "Ada", "name": "Eve"}', 'the key "name" stands more than once in one object'),
        ('{"name": "Ada", "age": NaN}', "it has NaN, which is not JSON"),
        ('{"name": "Ada", "age": -Infinity}', "it has -Infinity, which is not JSON"),
        ('{"name": "Ada", "age": 1e999}', "it has a number that is too large"),
        (f'{{"name": "Ada", "age": 1{"0" * 5000}}}', "it has a number that is too large"),
    ],
)
def test_an_answer_is_right_or_told_what_is_wrong_and_where(answer: str, problem: str | None) -> None:
    """In one line, in words of our own."""
    assert form(PERSON).problem(answer) == problem


@pytest.mark.parametrize(
    ("schema", "answer", "problem"),
    [
        ({"anyOf": [PERSON, {"type": "null"}]}, "{}", '$: lacks "name"'),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, "1", "$: fits none of the forms that it may have (anyOf)"),
        ({"oneOf": [{}, {}]}, "1", "$: must fit exactly one of the forms that it may have (oneOf)"),
        ({"const": 6}, "7", "$: must be 6"),
        ({"multipleOf": 2}, "7", "$: must be a multiple of 2"),
        ({"not": {}}, "7", "$: does not meet the schema's not"),
        ({"properties": {"a": False}}, '{"a": 1}', "$: has an integer where nothing may stand"),
        ({"properties": {"my key": {"type": "null"}}}, '{"my key": 1}',
         '$["my key"]: must be of type null, not an integer'),
        ({"propertyNames": {"maxLength": 1}}, '{"ab": 1}',
         '$: the name of the property "ab" must be at most 1 characters long'),
        ({"items": {"type": ["string", "null"]}}, "[1, 2]", "$[0]: must be of type string or null, not an integer"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}, "[1]",
         "$[0]: must be of type string, not an integer"),
    ],
)  # fmt: skip
def test_the_words_of_other_keywords(schema: dict[str, Any], answer: str, problem: str) -> None:
    """The first thing that is wrong, as far out as possible; of alternatives, the nearest."""
    assert form(schema).problem(answer) == problem


def test_a_json_object_is_any_object_and_nothing_else() -> None:
    """As OpenAI's json_object has it."""
    assert OBJECT.problem('{"anything": [1, null]}') is None
    assert OBJECT.problem("[1]") == "$: must be an object, not an array"
    assert OBJECT.problem("6 times 7 is 42") == "it is not JSON, at line 1, column 3"


def test_long_values_and_keys_are_cut() -> None:
    """A line is for a prompt and a note."""
    problem = form({"enum": ["x" * 900] * 9}).problem(json.dumps({"y" * 900: 1}))
    assert problem is not None
    assert len(problem) == 200
    problem = form({"additionalProperties": {"type": "null"}}).problem(json.dumps({"y" * 900: 1}))
    assert problem is not None
    assert "y" * 41 not in problem


@given(schema=ANY_SCHEMA, value=values)
def test_it_says_what_the_library_says(schema: dict[str, Any], value: object) -> None:
    """Limits and wording change no verdict."""
    valid = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (form(schema).problem(json.dumps(value)) is None) == valid


@given(schema=ANY_SCHEMA, text=st.text() | values.map(json.dumps) | st.text('{}[]",:0123456789eE.-truefalsn \n'))
@example(schema={"type": "object"}, text='{"\ud800": "\ud800\\udfff"}')
@example(schema={"type": "integer"}, text="\ufeff1")
@example(schema={"additionalProperties": False}, text='{"a\u2028b\x85": 1}')
def test_any_text_is_a_problem_or_fine(schema: dict[str, Any], text: str) -> None:
    """Never an exception; and a problem is one line that can be sent."""
    for asked in (form(schema), OBJECT):
        problem = asked.problem(text)
        assert problem is None or (len(problem.splitlines()) == 1 and len(problem) <= 200)
        assert problem is None or problem.encode()
        assert asked.extract(text) in (text, *_parts(text))


def _parts(text: str) -> list[str]:
    return [text[start:end] for start in range(len(text)) for end in range(start, len(text) + 1)]


@pytest.mark.parametrize("nested", ["[", '{"a":', '[{"a":[', "[["])
def test_deep_nesting_is_a_problem(nested: str) -> None:
    """Not a RecursionError, whether it is closed or not, whatever of it the reader or the check cannot take."""
    closing = {"[": "]", "{": "}"}
    tree = form({"anyOf": [{"items": {"$ref": "#"}}, {"additionalProperties": {"$ref": "#"}}]})
    for depth in (sys.getrecursionlimit() // 8, 100_000):
        text = nested * depth
        for answer in (text, text + "1" + "".join(closing[sign] for sign in reversed(text) if sign in closing)):
            assert tree.extract(answer) == answer
            tree.problem(answer)
    assert tree.problem("[" * 100_000) == "it is nested too deeply to be read"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "array", "items": {"type": "integer"}}, json.dumps([1] * (MILLION // 3))),
        ({"type": "array", "items": {"type": "string"}}, json.dumps([1] * (MILLION // 3))),
        ({"items": {"enum": list(range(9, 9000))}}, json.dumps([1] * (MILLION // 3))),
        ({"anyOf": [{"items": {"type": "string"}}, {"items": {"type": "null"}}]}, json.dumps([1] * (MILLION // 3))),
        ({"uniqueItems": True}, json.dumps([{"a": number} for number in range(MILLION // 12)])),
        ({"additionalProperties": False}, json.dumps({str(number): 1 for number in range(MILLION // 12)})),
        ({"type": "object"}, json.dumps({"a": "x" * MILLION})),
        ({"type": "object"}, "x" * MILLION),
        ({"type": "object"}, "{" * MILLION),
        ({"type": "array"}, "word [" + '["a", 1, ' * (MILLION // 9)),
        ({"type": "object"}, '{"a": 1, ' * (MILLION // 9)),
        ({"type": "object"}, "```json\n" * (MILLION // 8)),
        ({"pattern": RUNAWAY}, json.dumps("a" * 50 + "!")),
        ({"additionalProperties": {"pattern": RUNAWAY}}, json.dumps({"a": "a" * 50 + "!"})),
        ({"patternProperties": {RUNAWAY: {}}, "additionalProperties": False}, json.dumps({"a" * 50 + "!": 1})),
        ({"allOf": [{"patternProperties": {RUNAWAY: {}}}], "unevaluatedProperties": False},
         json.dumps({"a" * 50 + "!": 1})),
        ({"multipleOf": 0.1}, "9" * 300),
        ({"$ref": "#"}, "1"),
        ({"$defs": {f"n{n}": {"allOf": [{"$ref": f"#/$defs/n{n + 1}"}] * 2} for n in range(60)} | {"n60": {}},
          "$ref": "#/$defs/n0"}, "1"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_no_answer_and_no_schema_takes_long(schema: dict[str, Any], text: str) -> None:
    """In seconds of this thread's own work, so that a busy machine fails no test."""
    asked = form(schema)
    started = time.thread_time()
    asked.problem(text)
    asked.extract(text)
    assert time.thread_time() - started < 4


@pytest.mark.parametrize(
    "response_format",
    [
        {},
        {"type": "text"},
        {"type": "json_schema"},
        {"type": "json_schema", "json_schema": {"schema": True}},
        "json",
        None,
    ],
)
def test_what_is_no_form_is_refused(response_format: Any) -> None:
    """Type text asks for none; nobody should make one of it."""
    with pytest.raises(BadRequest) as caught:
        RequestedFormat(response_format)
    assert caught.value.param == "response_format"


def test_one_form_serves_many_threads() -> None:
    """Each with a time limit of its own."""
    asked = form(PERSON)
    with ThreadPoolExecutor(4) as threads:
        problems = list(threads.map(asked.problem, ['{"name": "Ada"}', "{}"] * 20))
    assert problems == [None, '$: lacks "name"'] * 20


JSON = '{"name": "Ada"}'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (JSON, JSON),
        (f"\n{JSON}\n", f"\n{JSON}\n"),
        (f"```json\n{JSON}\n```", JSON),
        (f"Here it is:\n\n```JSON\n{JSON}\n```\nI hope this helps.", JSON),
        (f"```\n{JSON}\n```", JSON),
        (f"```python\nprint({{}})\n```\n\n```json\n{JSON}\n```", JSON),
        (f"```json\n{JSON}", JSON),
        (f"The answer is {JSON}.", JSON),
        (f"As [1] says: {JSON}", JSON),
        (f"For the set {{1, 2}} it is {JSON}", JSON),
        (f"```json\n{JSON}\n```\nIn short: {JSON}", JSON),
        ('Nested: {"a": {"b": [{}]}}!', '{"a": {"b": [{}]}}'),
        ('Broken: {"name": "Ada", "name": "Eve"}', '{"name": "Ada", "name": "Eve"}'),
    ],
)
def test_json_is_taken_out_of_what_stands_around_it(text: str, found: str) -> None:
    """Out of a fence, or from between words; twice the same is no doubt."""
    assert OBJECT.extract(text) == found


@pytest.mark.parametrize(
    "text",
    [
        f'First {JSON}, then {{"name": "Eve"}}',
        f'```json\n{JSON}\n```\n```json\n{{"name": "Eve"}}\n```',
        "No JSON here.",
        "An array: [{}]",
        "{" * 100 + JSON,
        "",
    ],
)
def test_what_is_ambiguous_stays_as_it_is(text: str) -> None:
    """Nobody guesses which one is meant; and an object in an array is not the object."""
    assert OBJECT.extract(text) == text


def test_an_array_is_taken_where_the_schema_allows_one() -> None:
    """By the type at its top."""
    assert form({"type": "array"}).extract("So: [1, 2]") == "[1, 2]"
    assert form({"type": "object"}).extract("So: [1, 2]") == "So: [1, 2]"
