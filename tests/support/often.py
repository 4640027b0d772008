"""Run the suite again and again, and count what fails: `make test-often RUNS=10 LOAD=yes TESTS=tests/llm`.

With a load, each processor has a process beside it that never rests. What fails once in ten runs is a defect.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def load(wanted: bool) -> Iterator[None]:
    """Keep every processor busy within this block."""
    burning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range((os.cpu_count() or 1) * wanted)
    ]
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def run(arguments: Sequence[str], report: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Run pytest once; return its counts, and each failure with the first line of its reason.

    A run that ends without a report counts as a failure of pytest itself.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if not report.exists():
        return {"tests": 0, "failed": 1}, [("pytest", f"ended with {done.returncode}, without a report")]
    cases = list(ElementTree.parse(report).iter("testcase"))
    failures = [
        (f"{case.get('classname', '').replace('.', '/')}::{case.get('name')}", _first_line(fault.get("message") or ""))
        for case in cases
        for fault in (*case.findall("failure"), *case.findall("error"))
    ]
    if not failures and done.returncode:
        failures = [("pytest", f"ended with {done.returncode}")]
    return {"tests": len(cases), "failed": len(failures)}, failures


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0][:160]


def main() -> int:
    """Run as the command line says; 1 if anything failed in any run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--load", choices=("yes", "no"), default="no")
    given, arguments = parser.parse_known_args()
    counted, reasons = Counter[str](), dict[str, str]()
    with tempfile.TemporaryDirectory() as folder, load(given.load == "yes"):
        for number in range(1, given.runs + 1):
            began = time.monotonic()
            counts, failures = run(arguments, Path(folder) / f"{number}.xml")
            seconds = time.monotonic() - began
            print(f"run {number}: {counts['tests']} tests, {counts['failed']} failed, {seconds:.0f} s", flush=True)
            for name, reason in failures:
                print(f"  {name}: {reason}", flush=True)
                counted[name] += 1
                reasons[name] = reason
    for name, count in counted.most_common():
        print(f"{count} of {given.runs}: {name}: {reasons[name]}")
    print(f"{given.runs} runs, load: {given.load}, tests that failed in any: {len(counted)}")
    return 1 if counted else 0


if __name__ == "__main__":
    sys.exit(main())
