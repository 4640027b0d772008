"""Empty modules in place of those of approaches that are not served; OptiLLM imports all of them at its start.

They would take a second, half of the memory at rest, and packages of tens of megabytes. And no request can run what was
not imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Collection
from types import ModuleType
from typing import Any

from optillm_cerebras_cepo.host import SLUG

# The module of each of OptiLLM's own approaches (server.py:23).
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
# Used by other approaches only: OpenAI's client, and the library with which OptiLLM's own `cepo` compares answers.
LIBRARIES = ("openai", "math_verify")


def leave_out(served: Collection[str]) -> None:
    """From now on, import the modules of all approaches but the served ones as empty modules."""
    unwanted = {module for approach, module in MODULES.items() if approach not in served}
    if set(served) <= {SLUG, "none"}:
        unwanted.update(LIBRARIES)
    sys.meta_path.insert(0, _StubFinder(frozenset(unwanted - set(sys.modules))))


class _StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in self._names else None

    def exec_module(self, module: ModuleType) -> None:
        def get(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return _placeholder(name)

        module.__getattr__ = get  # type: ignore[method-assign]


def _placeholder(name: str) -> type[Exception]:
    """Return a class that can stand for any imported name: a function, a class, or an exception to catch."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(f"{name} belongs to an approach that is not served here")

    return type(name, (Exception,), {"__init__": refuse, "__doc__": "Placeholder for a name that is not imported."})
