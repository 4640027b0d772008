"""`python -m soak`: run, print the figures, and exit with 1 when a promise is broken."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from soak.run import CLIENTS, soak
from soak.verdict import claims, lost, report


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="soak", description="Steady load with faults, and what it leaves behind.")
    parser.add_argument("--minutes", type=float, default=10.0, help="of load (default: 10)")
    parser.add_argument("--clients", type=int, default=CLIENTS, help=f"at once (default: {CLIENTS})")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write the figures, beside the output")
    parser.add_argument("--log", type=Path, metavar="FILE", help="where to write OptiLLM's log")
    given = parser.parse_args()
    done = soak(60 * given.minutes, given.clients)
    text = report(done)
    print(text)
    for told in filter(lost, done.told):
        print(f"lost: {told}")
    if given.out:
        given.out.write_text(text)
    if given.log:
        given.log.write_text(done.log)
    sys.exit(0 if all(claim.holds for claim in claims(done)) else 1)


if __name__ == "__main__":
    main()
