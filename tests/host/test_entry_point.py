"""What the entry point `optillm.plugins` names, which OptiLLM would import as its plugin."""

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
    """With the two names that OptiLLM looks for."""
    assert (module.SLUG, module.run) == (plugin.SLUG, plugin.run)


def test_it_and_the_shim_stand_at_the_door_once(module: ModuleType) -> None:
    """Whichever is found first, and however often OptiLLM loads its plugins."""
    server.load_plugins()
    doors = [function.__name__ for function in server.app.before_request_funcs[None]]
    assert doors.count("cepo_cerebras_intake") == 1
    assert server.plugin_approaches[plugin.SLUG] is plugin.run
