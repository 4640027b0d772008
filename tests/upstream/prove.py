"""Prove the pull requests of docs/upstream, each by itself and all together, and print the table.

    PYTHONPATH=tests python -m upstream.prove [NN ...]

OptiLLM's source distribution is fetched; a copy of it is a checkout. Of each pull request it is shown that it applies,
that its test fails before and passes after it, that OptiLLM's own offline tests still pass, and that the tests of the
defects it mends, which are expected to fail on the installed OptiLLM, pass. Then two things are asked of a real
`optillm` process: with the entry points our package is found without its file among OptiLLM's plugins, and with the
fixes of errors stock `--approach cepo` answers on an API as strict as Cerebras's. Exit status 1 when one is not so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from support.defects import DEFECTS, KIT, PULLS, ROOT
from support.optillm_process import asked_of
from support.optillm_sdist import unpacked
from support.optillm_tests import offline

WORKERS = 2 * (os.cpu_count() or 1)  # OptiLLM's tests spend half of their time waiting
THEIRS = ("-c", os.devnull, "--rootdir", ".")  # with nothing of this project's settings for pytest
DEFAULT_CALLS = 24  # of a question to our package: three candidates of eight, whose answers agree
HEAD = ("pull request", "files", "its tests before", "and after", "OptiLLM's tests", "defects mended", "")


class Unproven(Exception):
    """Something is not so; the text says what."""


@dataclass(frozen=True)
class Ran:
    """Tests of one module; a module that cannot be imported is one that failed."""

    passed: int
    failed: int
    output: str


def pytest(checkout: Path, folder: Path, *arguments: str) -> dict[str, Ran]:
    """Run tests in a folder with the OptiLLM of a checkout; return what became of them, by the module's name."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        ours = ("-q", "-p", "no:cacheprovider", "--continue-on-collection-errors", f"--junitxml={report.name}")
        environ = os.environ | {"PYTHONPATH": str(checkout), "HOME": str(checkout)}
        command = [sys.executable, "-m", "pytest", *ours, *arguments]
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
        output = done.stdout + done.stderr
        if done.returncode not in (0, 1):
            raise Unproven(f"pytest ended with {done.returncode}:\n{output}")
        cases = [*ElementTree.parse(report.name).iter("testcase")]
    ended: dict[str, list[bool]] = {}
    for case in cases:
        names = (case.get("classname") or case.get("name") or "").split(".")
        module = next(name for name in names if name.startswith("test_"))
        ended.setdefault(module, []).append(not {part.tag for part in case} & {"failure", "error", "skipped"})
    return {module: Ran(passed.count(True), passed.count(False), output) for module, passed in ended.items()}


def before(sdist: Path, work: Path) -> Mapping[str, Ran]:
    """Run the tests of all pull requests where none is applied, by their modules."""
    checkout = work / "before"
    shutil.copytree(sdist, checkout)
    tests = [shutil.copy(_test(number), checkout / "tests") for number in PULLS]
    return pytest(checkout, checkout / "tests", *THEIRS, *(Path(test).name for test in tests))


def prove(sdist: Path, work: Path, failing: Mapping[str, Ran], numbers: Sequence[str]) -> list[str]:
    """Apply these pull requests to a copy, one on the other, and return the figures of the table."""
    checkout = work / "-".join(numbers)[:32]
    shutil.copytree(sdist, checkout)
    files = apply(checkout, numbers)
    theirs = pytest(checkout, checkout / "tests", *THEIRS, *offline())
    its = [theirs.pop(_test(number).stem) for number in numbers]
    defects = _defects(checkout, numbers)
    failed = [failing[_test(number).stem] for number in numbers]
    if passing := [number for number, ran in zip(numbers, failed, strict=True) if not ran.failed]:
        raise Unproven(f"the tests of {passing} pass without it")
    if wrong := [ran.output for ran in (*its, *theirs.values(), *defects) if ran.failed or not ran.passed]:
        raise Unproven(wrong[0])
    return [
        str(files),
        f"{sum(ran.failed for ran in failed)} fail",
        f"{sum(ran.passed for ran in its)} pass",
        f"{sum(ran.passed for ran in theirs.values())} pass",
        str(sum(ran.passed for ran in defects)),
    ]


def apply(checkout: Path, numbers: Sequence[str]) -> int:
    """Apply them with the command that a contributor uses; return the number of files that it names."""
    command = [sys.executable, str(KIT / "apply.py"), *numbers, str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Unproven(f"it does not apply: {done.stderr}")
    return len({path for line in done.stdout.splitlines() for path in line.partition(": ")[2].split()})


def _test(number: str) -> Path:
    (test,) = PULLS[number].glob("test_*.py")
    return test


def _defects(checkout: Path, numbers: Sequence[str]) -> list[Ran]:
    """Run our tests of the defects that these mend: on this OptiLLM they have to pass."""
    names = [f"test_{defect.name}" for defect in DEFECTS.values() if defect.pull in numbers]
    files = map(str, (ROOT / "tests" / "upstream").glob("test_defects_*.py"))
    ran = [*pytest(checkout, ROOT, "--runxfail", "-k", " or ".join(names), *files).values()]
    if sum(tests.passed + tests.failed for tests in ran) != len(names):
        raise Unproven(f"not the tests of {len(names)} defects ran:\n{ran[0].output}")
    return ran


def registers(sdist: Path, work: Path) -> str:
    """Ask our package on an OptiLLM that reads entry points and has no file of ours; return what was seen."""
    checkout = work / "entry-points"
    shutil.copytree(sdist, checkout)
    apply(checkout, ["11"])
    status, calls, reply = asked_of(checkout, "cepo_cerebras")
    if (status, calls) != (200, DEFAULT_CALLS):
        raise Unproven(f"status {status} after {calls} calls: {reply}")
    return f"status {status} after {calls} calls"


def answers(sdist: Path, work: Path) -> str:
    """Ask stock `cepo`, as it is configured by default, before and after the fixes of errors; return what was seen."""
    checkout = work / "errors"
    shutil.copytree(sdist, checkout)
    (status, calls, _), _ = asked_of(checkout, "cepo"), apply(checkout, ["01", "04"])
    mended, made, reply = asked_of(checkout, "cepo")
    if (status, mended) != (500, 200):
        raise Unproven(f"status {status} before, {mended} after: {reply}")
    return f"status {status} after {calls} calls without them, {mended} after {made} calls with them"


PROCESSES: Mapping[str, Callable[[Path, Path], str]] = {
    "with 11, our package registers without its file among the plugins": registers,
    "with 01 and 04, stock `--approach cepo` answers on the strict simulator": answers,
}


def main(arguments: Sequence[str]) -> int:
    """Prove those that are asked for, or all, alone and together; 1 when one of them is not proven."""
    asked = [*arguments] or [*PULLS]
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as pool:
        work = Path(folder)
        sdist = unpacked(work)
        shown = partial(prove, sdist, work, before(sdist, work))
        rows = [(PULLS[number].name, pool.submit(shown, [number])) for number in asked]
        if len(asked) > 1:
            rows.append(("all of them together", pool.submit(shown, asked)))
        lines = [(what, pool.submit(seen, sdist, work)) for what, seen in PROCESSES.items() if not arguments]
        proven = [_print(f"| {name} | {{}} |", proof) for name, proof in rows]
        print(flush=True)
        proven += [_print(f"{what}: {{}}", proof) for what, proof in lines]
    return 0 if all(proven) else 1


def _print(line: str, proof: Future[list[str]] | Future[str]) -> bool:
    """Print what was seen, in its place in the line; whether it is proven."""
    try:
        seen = proof.result()
    except (Unproven, AssertionError) as error:
        print(f"{line.format('**not proven**')}\n{error}", flush=True)
        return False
    print(line.format(seen if isinstance(seen, str) else " | ".join([*seen, "proven"])), flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
