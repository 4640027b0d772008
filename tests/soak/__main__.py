"""`python -m soak`: run, print the figures, and exit with 1 if a promise is broken."""

from __future__ import annotations

import argparse
import datetime
import logging
import sys
from pathlib import Path

from bench.page import DOCS, insert

from soak.run import CLIENTS, soak
from soak.verdict import claims, lost, report

FULL = 10.0  # minutes; what a shorter run shows is not for the page
BEGIN, END = "<!-- soak -->", "<!-- /soak -->"


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="soak", description="Steady load with faults, and what it leaves behind.")
    parser.add_argument("--minutes", type=float, default=FULL, help=f"of load (default: {FULL:g})")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"at once (default: {CLIENTS})")
    parser.add_argument("--page", action="store_true", help="write a full run's figures into docs/reliability.md")
    parser.add_argument("--log", type=Path, metavar="FILE", help="where to write OptiLLM's log")
    given = parser.parse_args()
    logging.disable(logging.INFO)  # httpx writes a line a request, where optillm has set the level
    done = soak(60 * given.minutes, given.clients)
    text = report(done)
    print(text)
    for received in filter(lost, done.received):
        print(f"lost: {received}")
    if given.page and given.minutes >= FULL:
        insert(f"Run on {datetime.date.today():%Y-%m-%d}: {text.strip()}", DOCS / "reliability.md", BEGIN, END)
    if given.log:
        given.log.write_text(done.log)
    sys.exit(0 if all(claim.holds for claim in claims(done)) else 1)


if __name__ == "__main__":
    main()
