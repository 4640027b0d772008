"""The pull requests of docs/upstream: their lists are consistent, and they refuse unexpected code.

`make upstream` proves that each of them works.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import optillm
import pytest
from support.defects import DEFECTS, KIT, PULLS, ROOT, workarounds

PAGE = (KIT / "README.md").read_text()
WORKFLOW = """\
jobs:
  unit-tests:
    steps:
    - run: |
        python tests/test_one.py
        python -m pytest tests/test_two.py -v --tb=short || python tests/test_two.py

  integration-tests:
    steps:
    - run: python tests/test_three.py
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout of the installed OptiLLM, with a workflow that runs tests."""
    shutil.copytree(Path(optillm.__file__).parent, tmp_path / "optillm", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "test.yml").write_text(WORKFLOW)
    return tmp_path


def apply(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command that contributors run."""
    command = [sys.executable, str(KIT / "apply.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def contents(folder: Path) -> dict[str, str]:
    """Return the text of each file in a folder, by its path."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_each_defect_has_its_test_its_mark_and_its_row() -> None:
    """The tests, the comments in the package, the rows of the page and the table of defects are the same list."""
    defects = {(defect.name, defect.workaround, defect.pull) for defect in DEFECTS.values()}
    tests = {
        name
        for file in (ROOT / "tests" / "upstream").glob("test_defects_*.py")
        for name in re.findall(r"^@defect\ndef test_(\w+)", file.read_text(), re.MULTILINE)
    }
    row = r"^\| ([a-z0-9 ]+) \| [\w., ]+ \| .+ \| `(\S+)` \| \[(\d\d)\]\((\S+)/README.md\) \| \w+ \|$"
    rows = re.findall(row, PAGE, re.MULTILINE)
    assert workarounds() == {(name, workaround) for name, workaround, _ in defects}
    assert tests == DEFECTS.keys()
    assert {(name.replace(" ", "_"), workaround, pull) for name, workaround, pull, _ in rows} == defects
    assert {folder for *_, folder in rows} == {folder.name for folder in PULLS.values()}


@pytest.mark.parametrize("number", PULLS)
def test_unexpected_code_is_refused(checkout: Path, number: str) -> None:
    """With one line that names the file, and without changes."""
    for path in (checkout / "optillm").rglob("*.py"):
        path.write_text("")
    before = contents(checkout)
    refused = apply(number, checkout)
    assert refused.returncode == 1
    assert re.fullmatch(rf"{PULLS[number].name}: .*optillm/.+\n", refused.stderr)
    assert contents(checkout) == before


def test_other_folders_are_refused(tmp_path: Path) -> None:
    """With one line."""
    refused = apply("01", tmp_path)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert "no checkout of OptiLLM" in refused.stderr


def test_the_test_is_added_to_the_workflow(checkout: Path) -> None:
    """After the last test that needs no server."""
    assert apply("02", checkout).returncode == 0
    lines = (checkout / ".github" / "workflows" / "test.yml").read_text().splitlines()
    assert lines[6] == "        python -m pytest tests/test_cepo_ratings.py -v --tb=short"
    assert [*lines[:6], *lines[7:]] == WORKFLOW.splitlines()
    assert (checkout / "tests" / "test_cepo_ratings.py").is_file()


def test_no_line_is_copied_from_optillm() -> None:
    """Except lines of at most 50 characters."""
    theirs = {
        line.strip() for path in Path(optillm.__file__).parent.rglob("*.py") for line in path.read_text().splitlines()
    }
    ours = {line.strip() for path in KIT.rglob("*.py") for line in path.read_text().splitlines()}
    assert {line for line in ours & theirs if len(line) > 50} == set()


def test_a_fixed_defect_names_its_workaround(tmp_path: Path) -> None:
    """Its test passes, which fails the run and names the workaround and the pull request."""
    (tmp_path / "test_fixed.py").write_text(
        "from support import defects\n\n"
        'defects.DEFECTS["gone"] = defects.Defect("gone", "cepo/seam.py", "02")\n\n'
        "@defects.defect\ndef test_gone():\n    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."]
    environ = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert "[XPASS(strict)] cepo/seam.py, marked gone, may go: docs/upstream/02-*" in done.stdout
