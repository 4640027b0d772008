"""The package on the Python and the OptiLLM that run this: `make test-pairs` runs it on each pair."""

from __future__ import annotations

import importlib
import pkgutil

import optillm_cerebras_cepo


def test_every_module_can_be_imported() -> None:
    """With what the package depends on, and nothing else installed."""
    found = [module.name for module in pkgutil.walk_packages(optillm_cerebras_cepo.__path__, "optillm_cerebras_cepo.")]
    for name in found:
        importlib.import_module(name)
    assert len(found) > 100
