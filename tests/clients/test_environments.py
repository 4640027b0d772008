"""The environments of the clients: made once, made anew for another lock, and never left out in silence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import client_environments
from support.client_environments import node_environment

NODE = Path(__file__).parent / "node"


@pytest.mark.parametrize("command", ["node", "npm"])
def test_a_missing_node_is_a_failure_that_says_so(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Not a skip, which nobody would see."""
    monkeypatch.setattr(shutil, "which", lambda name: None if name == command else f"/usr/bin/{name}")
    with pytest.raises(pytest.fail.Exception, match=f"^{command} is not on the PATH; .* Node.js 20"):
        node_environment(NODE)


def test_an_environment_is_made_once_for_each_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A second run finds it, another lock replaces it, and what was left half made is made anew."""
    monkeypatch.setattr(client_environments, "CACHE", tmp_path / "cache")
    lock, made = tmp_path / "some.lock", []

    def kept() -> Path:
        return client_environments.kept("some", [lock], lambda folder: made.append(folder) or folder.mkdir())

    lock.write_text("one==1")
    first = kept()
    assert kept() == first
    lock.write_text("one==2")
    second = kept()
    assert made == [first, second]
    assert not first.exists()
    (second / ".done").unlink()
    assert kept() == second
    assert made == [first, second, second]
