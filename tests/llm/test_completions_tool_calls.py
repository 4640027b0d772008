"""Streamed tool calls: assembled whatever indexes an API sends, and passed on well formed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.llm.completions import ToolCallAssembly

Calls = list[tuple[str, str, list[str]]]  # id, name, and the arguments in pieces

calls = st.lists(
    st.tuples(st.uuids().map(str), st.sampled_from(["add", "mul"]), st.lists(st.text(max_size=4), max_size=4)),
    max_size=4,
    unique_by=lambda call: call[0],
)


def pieces(calls: Calls, index: Any) -> list[dict[str, Any]]:
    """The pieces of these calls, one call after the other, with the index that an API gives each."""
    made = []
    for place, (name, function, arguments) in enumerate(calls):
        numbered = {} if index is None else {"index": index(place)}
        made.append({**numbered, "id": name, "type": "function", "function": {"name": function, "arguments": ""}})
        made += [{**numbered, "function": {"arguments": piece}} for piece in arguments]
    return made


@pytest.mark.parametrize("index", [lambda place: place, lambda _: 0, None], ids=["right", "always 0", "none"])
@given(calls)
def test_each_call_has_its_own_pieces_and_index(index: Any, calls: Calls) -> None:
    """A client that follows OpenAI's rule, one call for each index, reads the same calls."""
    assembly, read = ToolCallAssembly(), dict[int, dict[str, Any]]()
    for piece in pieces(calls, index):
        formed = assembly.add(piece)
        if formed["index"] not in read:
            assert formed["id"]
            assert formed["type"] == "function"
            read[formed["index"]] = {"id": formed["id"], "name": formed["function"]["name"], "arguments": ""}
        read[formed["index"]]["arguments"] += formed["function"]["arguments"]
    expected = [(name, function, "".join(arguments)) for name, function, arguments in calls]
    assert sorted(read) == list(range(len(calls)))
    assert [(call["id"], call["name"], call["arguments"]) for _, call in sorted(read.items())] == expected
    assert [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in assembly.calls
    ] == expected


def test_alternating_pieces_are_separated_by_index() -> None:
    """Two calls at once."""
    assembly = ToolCallAssembly()
    for index in (0, 1):
        assembly.add({"index": index, "id": f"c{index}", "function": {"name": "add", "arguments": ""}})
    for index, piece in ((1, "[1"), (0, "[0"), (1, "]"), (0, "]")):
        assert assembly.add({"index": index, "function": {"arguments": piece}})["index"] == index
    assert [call["function"]["arguments"] for call in assembly.calls] == ["[0]", "[1]"]


def test_call_without_an_id_gets_one() -> None:
    """The client needs it for its answer."""
    assembly = ToolCallAssembly()
    first = assembly.add({"index": 0, "function": {"name": "add"}})
    assembly.add({"index": 0, "function": {"arguments": "{}"}})
    assert first["id"] == assembly.calls[0]["id"] != ""
    assert first["function"] == {"name": "add", "arguments": ""}


def test_each_piece_has_its_calls_type() -> None:
    """The Cerebras SDK takes a chunk without it for a whole reply."""
    calls = ToolCallAssembly()
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "add", "arguments": "{"}}
    pieces = [calls.add(first), calls.add({"index": 0, "function": {"arguments": "}"}})]
    assert [piece["type"] for piece in pieces] == ["function", "function"]
