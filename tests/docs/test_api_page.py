"""docs/api.md names a test for all that it says in tables: each exists, and no parameter is left out."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

from support.openapi_file import openai_fields

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "api.md").read_text()
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")
# What a request has that is no parameter of its answer, and what stands on the page outside of the table.
ELSEWHERE = {"messages", "modalities", "functions", "function_call", "top_logprobs"}


@cache
def names_in(path: str) -> frozenset[str]:
    """The tests in a file."""
    tree = ast.parse((TESTS / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    part = PAGE.partition(f"\n## {heading}")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_test_that_is_named_exists() -> None:
    """By file and name."""
    named = NAMED.findall(PAGE)
    assert len(named) > 40
    assert [f"{path}::{name}" for path, name in named if name not in names_in(path)] == []


def test_every_parameter_is_in_the_table_with_a_test_on_each_side() -> None:
    """Those of OpenAI that the code reads; the settings are in the README's table."""
    table = rows("Each parameter")
    for _, _, ours, _, theirs in table:
        assert NAMED.search(ours)
        assert NAMED.search(theirs)
    told = {name for parameter, *_ in table for name in re.findall(r"`(\w+)`", parameter)}
    wanted = openai_fields()
    assert told == wanted - ELSEWHERE
    assert all(f"`{name}`" in PAGE for name in wanted)


def test_every_client_is_in_the_table() -> None:
    """Those that `tests/clients` runs: each lock and each program has its row, and each cell says something."""
    table = rows("Clients")
    assert all(len(row) == 6 and all(row) for row in table)
    rows_of = " ".join(client for client, *_ in table)
    programs = {path.stem for path in (TESTS / "clients" / "programs").glob("*.*")} - {"talk"}
    known = {
        "openai_sync": "openai 2 and 3 (Python), blocking",
        "openai_async": "openai 2 and 3 (Python), async",
        "langchain_client": "langchain-openai",
        "litellm_client": "litellm",
        "openai_node": "openai 6 and 7 (Node.js)",
        "ai_sdk": "AI SDK 6 and 7 (Node.js)",
    }
    assert programs == set(known)
    assert len(table) == len(known)
    assert all(name in rows_of for name in known.values())
