"""Modules of approaches that are not served: OptiLLM imports them all at its start, and gets empty ones instead.

They cost a second, half of the memory at rest, and packages of tens of megabytes; and what was never imported cannot be
run by any request.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Collection
from types import ModuleType
from typing import Any

# Which of OptiLLM's modules an approach is in (server.py:23).
MODULES = {
    "mcts": "optillm.mcts",
    "bon": "optillm.bon",
    "moa": "optillm.moa",
    "rto": "optillm.rto",
    "z3": "optillm.z3_solver",
    "self_consistency": "optillm.self_consistency",
    "pvg": "optillm.pvg",
    "rstar": "optillm.rstar",
    "cot_reflection": "optillm.cot_reflection",
    "plansearch": "optillm.plansearch",
    "leap": "optillm.leap",
    "re2": "optillm.reread",
    "mars": "optillm.mars",
}
# What is used by other approaches only: OpenAI's client, and what `optillm.cepo` votes with; ours votes elsewhere.
LIBRARIES = ("openai", "math_verify")


def leave_out(served: Collection[str]) -> None:
    """Have the modules of all other approaches imported as empty ones, from now on.

    Args:
        served: the approaches that are served, ours and `none` among them or not.

    """
    unwanted = {module for approach, module in MODULES.items() if approach not in served}
    if set(served) <= {"cepo_cerebras", "none"}:
        unwanted.update(LIBRARIES)
    unwanted -= set(sys.modules)
    sys.meta_path.insert(0, _Absent(frozenset(unwanted)))


class _Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in self._names else None

    def exec_module(self, module: ModuleType) -> None:
        def missing(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return _placeholder(name)

        module.__getattr__ = missing  # type: ignore[method-assign]


def _placeholder(name: str) -> type[Exception]:
    """Stands for whatever is imported by this name: a function, a class, or an error that somebody catches."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(f"{name} belongs to an approach that is not served here")

    return type(name, (Exception,), {"__init__": refuse, "__doc__": "Not imported here."})
