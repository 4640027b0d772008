from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from optillm_cerebras_cepo.demo.child_process import DemoError
from optillm_cerebras_cepo.demo.local_model import find_weights

CONTENT = b"weights"
WEIGHTS = ("some-weights", "model.gguf", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a distribution that has the file and cannot be imported; return the file."""
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
    assert find_weights(*WEIGHTS) == installed


def test_a_missing_distribution_is_reported() -> None:
    """In one line that says what to do."""
    with pytest.raises(DemoError, match=r"^.*some-weights.*not installed.*make venv.*CEREBRAS_API_KEY.*$"):
        find_weights(*WEIGHTS)


@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[::-1]], ids=["shorter", "other bytes"])
def test_a_file_with_other_content_is_refused(installed: Path, content: bytes) -> None:
    """Both a truncated file and one of the right size."""
    installed.write_bytes(content)
    with pytest.raises(DemoError, match=r"model\.gguf of some-weights is not the expected file"):
        find_weights(*WEIGHTS)


@pytest.mark.usefixtures("installed")
def test_a_distribution_without_the_file_is_reported() -> None:
    """Another version may have another file."""
    with pytest.raises(DemoError, match=r"some-weights is installed without other\.gguf"):
        find_weights(WEIGHTS[0], "other.gguf")


def test_a_deleted_file_is_reported(installed: Path) -> None:
    """It is in the metadata but not on the disk."""
    installed.unlink()
    with pytest.raises(DemoError, match="installed without"):
        find_weights(*WEIGHTS)
