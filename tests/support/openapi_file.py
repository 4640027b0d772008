"""docs/openapi.yaml, and the fields of a request that the code reads."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from optillm_cerebras_cepo.host import conversation, parameters

FILE = Path(__file__).parents[2] / "docs" / "openapi.yaml"


@cache
def page() -> dict[str, Any]:
    """The file."""
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


def resolved(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part with what it refers to in its place; what stands beside the reference goes first."""
    found: dict[str, Any] = dict(part)
    if reference := found.pop("$ref", None):
        target: Any = page()
        for name in reference.removeprefix("#/").split("/"):
            target = target[name]
        found = {**resolved(target), **found}
    return found


def schema(name: str) -> dict[str, Any]:
    """A schema's properties."""
    properties: dict[str, Any] = page()["components"]["schemas"][name]["properties"]
    return properties


def openai_fields() -> set[str]:
    """OpenAI's fields that the code reads."""
    return _read(parameters) | _read(conversation) | {"reasoning_effort"}


def _read(module: ModuleType) -> set[str]:
    """The names that a module looks up in a request's body, as its source has them."""
    found = set(getattr(module, "_UNAVAILABLE", ())) | set(getattr(module, "TOOL_FIELDS", ()))
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        called, owner = node.func, None
        if isinstance(called, ast.Attribute) and called.attr == "get" and isinstance(called.value, ast.Name):
            owner, name = called.value.id, node.args[0]
        elif isinstance(node.args[0], ast.Name) and len(node.args) > 1:
            owner, name = node.args[0].id, node.args[1]
        if owner in ("given", "body") and isinstance(name, ast.Constant):
            found.add(name.value)
    return found
