"""What `make upstream` shows of each pull request by itself, shown of all of them together."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.defects import DEFECTS
from support.optillm_sdist import unpacked
from upstream.prove import PROCESSES, PULLS, before, prove

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OptiLLM's source distribution, unpacked."""
    return unpacked(tmp_path_factory.mktemp("optillm"))


@pytest.mark.timeout(600)  # some 400 tests, in processes of their own
def test_all_pull_requests_together(sdist: Path, tmp_path: Path) -> None:
    """They apply, all tests of theirs, of OptiLLM's and of the defects pass, and no defect is left."""
    *_, mended = prove(sdist, tmp_path, before(sdist, tmp_path), [*PULLS])
    assert int(mended) == len(DEFECTS)


@pytest.mark.parametrize("what", PROCESSES)
def test_a_process(what: str, sdist: Path, tmp_path: Path) -> None:
    """A real server of OptiLLM."""
    assert PROCESSES[what](sdist, tmp_path)
