"""Prove the pull requests of docs/upstream, each by itself and all together, and print the table.

    PYTHONPATH=tests python tests/upstream/prove.py [NN ...]

OptiLLM's source distribution is fetched; a copy of it is a checkout. Of each pull request it is shown that it applies,
that its test fails before and passes after it, that OptiLLM's own offline tests still pass, and that the tests of the
defects it mends, which are expected to fail on the installed OptiLLM, pass. Exit status 1 when one of it is not so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from support.defects import DEFECTS, ROOT
from support.optillm_sdist import unpacked
from support.optillm_tests import offline

PULLS = {folder.name[:2]: folder for folder in sorted((ROOT / "docs" / "upstream").glob("[0-9][0-9]-*"))}
HEAD = ("pull request", "applies", "its tests, before", "and after", "OptiLLM's tests", "defects mended", "")


class Unproven(Exception):
    """Something is not so; the output says what."""


@dataclass(frozen=True)
class Tests:
    """What pytest says at its end: how many passed, how many failed or could not be collected."""

    passed: int
    failed: int
    output: str


def pytest(checkout: Path, folder: Path, *arguments: str) -> Tests:
    """Run tests in a folder with the OptiLLM of a checkout."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    environ = os.environ | {"PYTHONPATH": str(checkout), "HOME": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    output = done.stdout + done.stderr
    last = (done.stdout.strip().splitlines() or [""])[-1]
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?|xfailed|xpassed)", last)}
    passed = counts.pop("passed", 0)
    failed = sum(counts.values())
    if done.returncode not in (0, 1, 2) or not passed + failed:
        raise Unproven(f"pytest ended with {done.returncode}:\n{output}")
    return Tests(passed, failed, output)


def prove(sdist: Path, work: Path, numbers: Sequence[str]) -> list[str]:
    """Apply these pull requests to a copy, one on the other, and return the figures of the table."""
    checkout = work / "-".join(numbers)[:32]
    shutil.copytree(sdist, checkout)
    before = [_its_tests(checkout, PULLS[number], checkout / "tests") for number in numbers]
    applied = _apply(checkout, numbers)
    after = [_its_tests(checkout, PULLS[number]) for number in numbers]
    theirs = pytest(checkout, checkout / "tests", "-c", os.devnull, "--rootdir", ".", *_others(numbers))
    defects = _defects(checkout, numbers)
    wrong = [
        *(f"its tests pass without it:\n{tests.output}" for tests in before if not tests.failed),
        *(tests.output for tests in (*after, theirs, defects) if tests.failed or not tests.passed),
    ]
    if wrong:
        raise Unproven("\n".join(wrong))
    return [
        f"{applied} files",
        f"{sum(tests.failed for tests in before)} failed",
        f"{sum(tests.passed for tests in after)} passed",
        f"{theirs.passed} passed",
        f"{defects.passed}",
    ]


def _apply(checkout: Path, numbers: Sequence[str]) -> int:
    """Apply them with the command that a contributor uses; return the number of files that it names."""
    command = [sys.executable, str(ROOT / "docs" / "upstream" / "apply.py"), *numbers, str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Unproven(f"it does not apply: {done.stderr}")
    again = subprocess.run(command, capture_output=True, text=True)
    if not again.returncode or "Traceback" in again.stderr:
        raise Unproven(f"it applies to what it has changed already: {again.stdout}{again.stderr}")
    return len({path for line in done.stdout.splitlines() for path in line.partition(": ")[2].split()})


def _its_tests(checkout: Path, pull: Path, put: Path | None = None) -> Tests:
    """Run a pull request's own tests in a checkout; those that it has not yet are put there for the while."""
    (test,) = pull.glob("test_*.py")
    if put:
        shutil.copy(test, put)
    try:
        return pytest(checkout, checkout / "tests", "-c", os.devnull, "--rootdir", ".", test.name)
    finally:
        if put:
            (put / test.name).unlink()


def _others(numbers: Sequence[str]) -> list[str]:
    return [*offline(), *(f"--ignore={test.name}" for number in numbers for test in PULLS[number].glob("test_*.py"))]


def _defects(checkout: Path, numbers: Sequence[str]) -> Tests:
    """Run our tests of the defects that these mend: on this OptiLLM they have to pass."""
    names = [defect.name for defect in DEFECTS.values() if defect.pull in numbers]
    files = [str(path) for number in numbers for path in (ROOT / "tests" / "upstream").glob(f"test_{number}_*.py")]
    tests = pytest(checkout, ROOT, "--runxfail", "-k", " or ".join(f"test_{name}" for name in names), *files)
    if tests.passed + tests.failed != len(names):
        raise Unproven(f"{len(names)} defects, and other tests:\n{tests.output}")
    return tests


def main(arguments: Sequence[str]) -> int:
    """Prove those that are asked for, or all, alone and together; 1 when one of them is not proven."""
    asked = [*arguments] or [*PULLS]
    runs = [[number] for number in asked] + [asked] * (len(asked) > 1)
    failed = 0
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        sdist = unpacked(Path(folder))
        for numbers, proof in [(numbers, pool.submit(prove, sdist, Path(folder), numbers)) for numbers in runs]:
            name = PULLS[numbers[0]].name if len(numbers) == 1 else "all of them together"
            try:
                print("| " + " | ".join([name, *proof.result(), "proven"]) + " |", flush=True)
            except Unproven as error:
                failed += 1
                print(f"| {name} |  |  |  |  |  | **not proven** |", flush=True)
                print(error, file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
