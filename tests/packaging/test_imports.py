"""The package on the Python and the OptiLLM that run this: `make test-pairs` runs it on each pair."""

from __future__ import annotations

import importlib
import pkgutil
from importlib.util import find_spec

import optillm_cerebras_cepo

NAME = "optillm_cerebras_cepo."
OPTIONAL = {f"{NAME}telemetry.export", f"{NAME}telemetry.spans"}  # imported where OpenTelemetry is installed


def test_every_module_can_be_imported() -> None:
    """With what the package depends on, and nothing else installed."""
    found = [module.name for module in pkgutil.walk_packages(optillm_cerebras_cepo.__path__, NAME)]
    assert set(found) >= OPTIONAL
    if find_spec("opentelemetry") is None:
        found = [name for name in found if name not in OPTIONAL]
    for name in found:
        importlib.import_module(name)
    assert len(found) > 100
