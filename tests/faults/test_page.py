"""What docs/reliability.md says of faults."""

from __future__ import annotations

import re
from pathlib import Path

from bench.faults import BEGIN, END, LOOPS, ROWS
from support.error_kinds import error_kinds

from optillm_cerebras_cepo.simulator import FAULTS

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_fault_has_its_row() -> None:
    """Once, under the simulated API's name for it; and each error that a row names is one, with its status."""
    section = PAGE.partition("## Faults")[2].partition("## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(FAULTS)
    known = {(kind.code, kind.status) for kind in error_kinds()}
    for row in rows:
        statuses = re.findall(r"\b[45]\d\d\b", row[3])
        for code in re.findall(r"`(\w+)`", row[3]):
            assert {(code, int(status)) for status in statuses} & known, row


def test_the_figures_are_promised_ones() -> None:
    """The last run's: a line for each loop among each kind of faults, all requests answered by ours, none wrong."""
    figures = PAGE.partition(BEGIN)[2].partition(END)[0]
    lines = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in figures.splitlines() if "|" in line]
    cells = {(line[0], line[1]): line for line in lines[2:]}
    assert set(cells) == {(row, loop) for row in ROWS for loop in LOOPS}
    for (_, loop), line in cells.items():
        if loop != "OptiLLM":
            assert line[2] == "200 of 200"
            assert line[4] == "0"
