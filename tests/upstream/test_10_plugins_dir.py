"""A defect of where OptiLLM looks for plugins: in processes of their own, for it is about their start."""

from __future__ import annotations

from pathlib import Path

from support.approaches import PLUGIN, offered
from support.defects import defect


@defect
def test_the_folder_of_plugins_comes_too_late(tmp_path: Path) -> None:
    """A plugin there is an approach, whether a flag or a variable names the folder."""
    (tmp_path / "mine_plugin.py").write_text(PLUGIN.format(slug="mine"))
    assert "mine" in offered("--plugins-dir", str(tmp_path))
    assert "mine" in offered(OPTILLM_PLUGINS_DIR=str(tmp_path))
