"""Draw docs/grafana.json from a real Prometheus, into docs/dashboard.svg: `make dashboard`.

Prometheus loads docs/alerts.yaml and scrapes two sidecars under load for some minutes. Then it answers each panel's own
queries. The exit status is 1 if a panel has no data.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.operation import PHASES, QUICK
from bench.page import DOCS
from bench.panels import draw
from bench.recording import record


def main() -> None:
    """Record and draw."""
    parser = argparse.ArgumentParser(prog="bench.dashboard", description="Draw the dashboard from a real Prometheus.")
    parser.add_argument("--quick", action="store_true", help="a few seconds of load, to test the drawing itself")
    parser.add_argument("--out", type=Path, default=DOCS / "dashboard.svg", metavar="FILE")
    given = parser.parse_args()
    recording = record(QUICK if given.quick else PHASES)
    draw(recording, given.out)
    print(f"{given.out.name}: {recording.seconds:.0f} s of load")
    for title in recording.without_data:
        print(f"  no data: {title}")
    sys.exit(1 if recording.without_data and not given.quick else 0)


if __name__ == "__main__":
    main()
