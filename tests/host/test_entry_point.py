"""The module that the entry point `optillm.plugins` names, for an OptiLLM that reads entry points."""

from __future__ import annotations

import importlib.metadata
from types import ModuleType

import optillm.server as server
import pytest

from optillm_cerebras_cepo.host import plugin


@pytest.fixture
def module(plugins: None) -> ModuleType:
    """The module, imported after OptiLLM has found the shim."""
    (entry_point,) = importlib.metadata.entry_points(group="optillm.plugins", name="cepo_cerebras")
    assert entry_point.value == "optillm_cerebras_cepo.host.entry_point"
    loaded = entry_point.load()
    assert isinstance(loaded, ModuleType)
    return loaded


def test_it_is_a_plugin(module: ModuleType) -> None:
    """It has the two names that OptiLLM needs."""
    assert (module.SLUG, module.run) == (plugin.SLUG, plugin.run)


def test_hooks_are_added_once(module: ModuleType) -> None:
    """By the entry point and the shim together, however often OptiLLM loads its plugins."""
    server.load_plugins()
    names = [function.__name__ for function in server.app.before_request_funcs[None]]
    assert names.count("_validate_chat") == 1
    assert server.plugin_approaches[plugin.SLUG] is plugin.run
