"""The pull requests of docs/upstream: what is told of them agrees, and they refuse code that they do not know.

That each of them does what it says is shown by `make upstream`.
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
    """A checkout of the installed OptiLLM, with a workflow that names its tests."""
    shutil.copytree(Path(optillm.__file__).parent, tmp_path / "optillm", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "test.yml").write_text(WORKFLOW)
    return tmp_path


def apply(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command that a contributor runs."""
    command = [sys.executable, str(KIT / "apply.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def contents(folder: Path) -> dict[str, str]:
    """Every text in a folder, by its path there."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_each_defect_has_its_test_its_mark_and_its_row() -> None:
    """The four lists are one: of the tests, of what is marked in the package, of the page, and of the table here."""
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
def test_code_that_is_not_as_expected_is_refused(checkout: Path, number: str) -> None:
    """In one line that says where, and nothing is changed."""
    for path in (checkout / "optillm").rglob("*.py"):
        path.write_text("")
    before = contents(checkout)
    refused = apply(number, checkout)
    assert refused.returncode == 1
    assert re.fullmatch(rf"{PULLS[number].name}: .*optillm/.+\n", refused.stderr)
    assert contents(checkout) == before


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    """Before anything is looked at."""
    refused = apply("01", tmp_path)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert "no checkout of OptiLLM" in refused.stderr


def test_the_test_is_named_in_the_workflow(checkout: Path) -> None:
    """After the last that needs no server."""
    assert apply("02", checkout).returncode == 0
    lines = (checkout / ".github" / "workflows" / "test.yml").read_text().splitlines()
    assert lines[6] == "        python -m pytest tests/test_cepo_ratings.py -v --tb=short"
    assert [*lines[:6], *lines[7:]] == WORKFLOW.splitlines()
    assert (checkout / "tests" / "test_cepo_ratings.py").is_file()


def test_no_line_of_optillm_stands_here() -> None:
    """Of those that are more than a word or two of Python."""
    theirs = {
        line.strip() for path in Path(optillm.__file__).parent.rglob("*.py") for line in path.read_text().splitlines()
    }
    ours = {line.strip() for path in KIT.rglob("*.py") for line in path.read_text().splitlines()}
    assert {line for line in ours & theirs if len(line) > 50} == set()


def test_a_mended_defect_says_what_may_go(tmp_path: Path) -> None:
    """Its test passes, which fails the run, with our workaround and the pull request in its last lines."""
    (tmp_path / "test_mended.py").write_text(
        "from support import defects\n\n"
        'defects.DEFECTS["gone"] = defects.Defect("gone", "cepo/seam.py", "02")\n\n'
        "@defects.defect\ndef test_gone():\n    pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", "."]
    environ = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert "[XPASS(strict)] cepo/seam.py, marked gone, may go: docs/upstream/02-*" in done.stdout
