"""`python -m bench`: run all sections, and write docs/benchmarks.md with its pictures."""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from bench import (
    accuracy,
    cost,
    first_byte,
    fitting,
    limits,
    load,
    order,
    overhead,
    real_model,
    shared,
    slow,
    stopping,
    timeline,
    waiting,
)
from bench.loops import close_connections
from bench.page import DOCS, Run, Section, write

SECTIONS: Mapping[str, Run] = MappingProxyType(
    {
        module.__name__.split(".")[-1]: module.run
        for module in (
            cost,
            waiting,
            timeline,
            slow,
            limits,
            shared,
            fitting,
            order,
            load,
            overhead,
            first_byte,
            accuracy,
            stopping,
            real_model,
        )
    }
)


def main() -> None:
    """Run the benchmarks of the command line."""
    parser = argparse.ArgumentParser(prog="bench", description="Benchmarks of OptiLLM's loop and ours.")
    parser.add_argument("--quick", action="store_true", help="few requests, to test the benchmarks themselves")
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder (default: docs/; --quick: none)")
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"only these, requires --out: {', '.join(SECTIONS)}"
    )
    given = parser.parse_args()
    unknown = set(given.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown section: {', '.join(sorted(unknown))}")
    out = given.out or (None if given.quick else DOCS)
    if given.sections and out == DOCS:
        parser.error("SECTION requires --out DIR")
    # Both loops log every call, which would count as their work.
    logging.disable(logging.WARNING)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        sections = [_run(name, folder / "benchmarks", given.quick) for name in given.sections or SECTIONS]
        write(sections, time.monotonic() - started, folder / "benchmarks.md")


def _run(name: str, pictures: Path, quick: bool) -> Section:
    started = time.monotonic()
    try:
        section = SECTIONS[name](pictures, quick)
    finally:
        close_connections()
    print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    for claim in section.claims:
        print(f"  {'yes' if claim.holds else 'NO '} {claim.what}: {claim.limit}, measured {claim.measured}", flush=True)
    return section


if __name__ == "__main__":
    main()
