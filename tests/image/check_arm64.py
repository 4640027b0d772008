"""That the image could be built for arm64 as well; no arm64 machine is needed, and none is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from containers import ROOT, Note

PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")


def test_every_pinned_package_has_a_wheel_for_arm64(tmp_path: Path, note: Note) -> None:
    """There is a wheel with one of the lock's hashes for each pin, on CPython 3.12, and needs no compiler."""
    report = tmp_path / "report.json"
    lock = ROOT / "docker/requirements-image.lock"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--dry-run",
        "--ignore-installed",
        "--target",
        str(tmp_path),
    ]
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    wheels = ["--python-version", "3.12", "--implementation", "cp", *platforms, "--only-binary", ":all:"]
    exactly = ["--no-deps", "--require-hashes", "-r", str(lock), "--report", str(report), "--target", str(tmp_path)]
    done = subprocess.run([*command, *wheels, *exactly], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stderr)
    names = [found["download_info"]["url"].rpartition("/")[2] for found in json.loads(report.read_text())["install"]]
    assert len(names) >= 40
    assert [name for name in names if "x86_64" in name] == []
    compiled = [name for name in names if "aarch64" in name]
    note(f"arm64: {len(names)} of {len(names)} pins have a wheel, {len(compiled)} of them compiled")
