from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from optillm_cerebras_cepo.demo.errors import DemoError
from optillm_cerebras_cepo.demo.weights import Weights

CONTENT = b"weights"
WEIGHTS = Weights("some-weights", "1.0", "model.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution that carries the file and cannot be imported; returns the file."""
    package = tmp_path / "some_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('a requirement is not installed')\n")
    (package / "model.gguf").write_bytes(CONTENT)
    info = tmp_path / "some_weights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
    (info / "RECORD").write_text("some_weights/__init__.py,,\nsome_weights/model.gguf,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return package / "model.gguf"


def test_finds_the_file_without_importing_its_package(installed: Path) -> None:
    """The distribution's requirements are not installed, so its package must not be imported."""
    assert WEIGHTS.find() == installed


def test_says_what_to_install_when_the_distribution_is_missing() -> None:
    """One line with both ways on."""
    with pytest.raises(DemoError, match=r"^.*some-weights.*not installed.*make venv.*CEREBRAS_API_KEY.*$"):
        WEIGHTS.find()


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[::-1]], ids=["shorter", "other bytes"])
def test_refuses_a_file_that_is_not_the_known_one(installed: Path, content: bytes) -> None:
    """A half-copied file and one of the right size are both refused."""
    installed.write_bytes(content)
    with pytest.raises(DemoError, match=r"model\.gguf is not the one that some-weights 1\.0 carries"):
        WEIGHTS.find()


@pytest.mark.usefixtures("installed")
def test_says_when_the_distribution_lacks_the_file() -> None:
    """Another version may carry another file."""
    with pytest.raises(DemoError, match=r"some-weights is installed without other\.gguf"):
        dataclasses.replace(WEIGHTS, filename="other.gguf").find()


def test_says_when_the_file_was_deleted(installed: Path) -> None:
    """Listed in the metadata and gone from the disk."""
    installed.unlink()
    with pytest.raises(DemoError, match="installed without"):
        WEIGHTS.find()
