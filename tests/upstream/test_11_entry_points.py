"""A defect of how OptiLLM finds plugins: in processes of their own, for it is about their start."""

from __future__ import annotations

import os
from pathlib import Path

from support.approaches import PLUGIN, offered
from support.defects import defect


@defect
def test_entry_points_are_not_read(tmp_path: Path) -> None:
    """An installed package that names a module with SLUG and run has brought an approach."""
    (tmp_path / "brought.py").write_text(PLUGIN.format(slug="brought"))
    info = tmp_path / "brought-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[optillm.plugins]\nbrought = brought\n")
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(tmp_path)])
    assert "brought" in offered(PYTHONPATH=path)
