"""Prove the pull requests of docs/upstream, each by itself and all together, and print the table.

    PYTHONPATH=tests python tests/upstream/prove.py [NN ...]

OptiLLM's source distribution is fetched; a copy of it is a checkout. Of each pull request it is shown that it applies,
that its test fails before and passes after it, that OptiLLM's own offline tests still pass, and that the tests of the
defects it mends, which are expected to fail on the installed OptiLLM, pass. Then two things are asked of a real
`optillm` process: with the entry points our package is found without its file among OptiLLM's plugins, and with the
fixes of errors stock `--approach cepo` answers on an API as strict as Cerebras's. Exit status 1 when one is not so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from support.defects import DEFECTS, ROOT
from support.optillm_entry import registers_without_the_shim
from support.optillm_process import optillm
from support.optillm_sdist import unpacked
from support.optillm_tests import offline

from optillm_cerebras_cepo.simulator import Simulator, SimulatorOptions

KEY = "csk-0123456789abcdef"
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


def registers(sdist: Path, work: Path) -> str:
    """Our package, on an OptiLLM that reads entry points and has no file of ours; return what was seen."""
    checkout = work / "entry-points"
    shutil.copytree(sdist, checkout)
    _apply(checkout, ["11"])
    return registers_without_the_shim(checkout)


def answers(sdist: Path, work: Path) -> str:
    """Stock `cepo`, as it is configured by default, before and after the fixes of errors; return what was seen."""
    checkout = work / "errors"
    shutil.copytree(sdist, checkout)
    before = _asked(checkout)
    _apply(checkout, ["01", "04"])
    after = _asked(checkout)
    if (before[0], after[0]) != (500, 200):
        raise Unproven(f"status {before[0]} before, {after[0]} after: {after[2]}")
    return f"status {before[0]} after {before[1]} calls before, {after[0]} after {after[1]} calls with them"


def _asked(checkout: Path) -> tuple[int, int, str]:
    """Ask an `optillm` of a checkout one question; return the status, the calls to the API, and the reply."""
    environ = {"CEREBRAS_API_KEY": KEY, "PYTHONPATH": str(checkout)}
    body = {"model": "llama-3.3-70b", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}
    with (
        Simulator(SimulatorOptions()) as api,
        optillm("--base-url", api.url, "--approach", "cepo", environ=environ) as server,
    ):
        reply = server.ask(body)
        return reply.status_code, len(api.chat_calls), reply.text


PROCESSES = {
    "our package registers without its file among the plugins": registers,
    "stock `--approach cepo` answers on the strict simulator": answers,
}


def main(arguments: Sequence[str]) -> int:
    """Prove those that are asked for, or all, alone and together; 1 when one of them is not proven."""
    asked = [*arguments] or [*PULLS]
    print("| " + " | ".join(HEAD) + " |\n|" + "---|" * len(HEAD), flush=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        work = Path(folder)
        sdist = unpacked(work)
        rows = [(PULLS[number].name, pool.submit(prove, sdist, work, [number])) for number in asked]
        if len(asked) > 1:
            rows.append(("all of them together", pool.submit(prove, sdist, work, asked)))
        lines = [(what, pool.submit(shown, sdist, work)) for what, shown in PROCESSES.items() if not arguments]
        proven = [_print_row(name, proof) for name, proof in rows]
        print(flush=True)
        proven += [_print_line(what, proof) for what, proof in lines]
    return 0 if all(proven) else 1


def _print_row(name: str, proof: Future[list[str]]) -> bool:
    """Print one row of the table; whether it is proven."""
    try:
        print(f"| {' | '.join([name, *proof.result(), 'proven'])} |", flush=True)
    except (Unproven, AssertionError) as error:
        print(f"| {name} {'| ' * (len(HEAD) - 2)}| **not proven** |", flush=True)
        print(error, file=sys.stderr, flush=True)
        return False
    return True


def _print_line(what: str, proof: Future[str]) -> bool:
    """Print what was seen of a process; whether it is proven."""
    try:
        print(f"{what}: {proof.result()}", flush=True)
    except (Unproven, AssertionError) as error:
        print(f"{what}: **not proven**\n{error}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
