"""Measuring an installation. OptiLLM's is gigabytes, which `make size` measures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.size import Size, size_of


def test_size_counts_packages_and_bytes(tmp_path: Path) -> None:
    """The bytes of files and links, without folders."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    before = size_of(tmp_path)
    (site,) = tmp_path.glob("lib/python3*/site-packages")
    (site / "one-1.0.dist-info").mkdir()
    (site / "one.py").write_bytes(b"x" * 1000)
    (site / "another.py").symlink_to("one.py")
    assert size_of(tmp_path) == Size(before.packages + 1, before.bytes + 1000 + len("one.py"))
