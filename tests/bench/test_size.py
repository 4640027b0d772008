"""Counting what is installed. What pip brings with OptiLLM is gigabytes: `make size` does that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.size import LEAST, SIDECAR, WHOLE, Size, claims, report, size_of


def test_an_environment_is_its_packages_and_their_bytes(tmp_path: Path) -> None:
    """What a file or a link takes, and no folder."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    before = size_of(tmp_path)
    (site,) = tmp_path.glob("lib/python3*/site-packages")
    (site / "one-1.0.dist-info").mkdir()
    (site / "one.py").write_bytes(b"x" * 1000)
    (site / "another.py").symlink_to("one.py")
    assert size_of(tmp_path) == Size(before.packages + 1, before.bytes + 1000 + len("one.py"))


@pytest.mark.parametrize(("times", "kept"), [(LEAST, "yes"), (LEAST - 1, "**no**")])
def test_less_than_promised_is_told(times: int, kept: str) -> None:
    """On the page, and by the command's exit."""
    seen = {WHOLE: Size(200, times * 10**8), SIDECAR: Size(50, 10**8)}
    assert [claim.holds for claim in claims(seen)] == [kept == "yes"]
    assert f"| {SIDECAR} | 50 | 100 |" in report(seen)
    assert report(seen).endswith(f"| {LEAST} × less | {times} × | {kept} |")
