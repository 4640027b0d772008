"""The page that a run writes: sections of text and tables, with their pictures beside it."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

WHAT_IT_SHOWS = """\
The calls are real HTTP, from OptiLLM's own functions and from ours, to a server that counts, delays and refuses as
it is told. So it shows what a loop does: how many calls and tokens, in which order, how long it waits beyond the
calls' own time, and what becomes of a request when calls are slow or refused. It does not show what a model does:
how long replies are, how good answers get, how quick the API is and how it spreads its load. Lengths, latencies and
skills are assumptions, and stand beside each table. The processor is shared by the loops and the simulated API, so
figures under load are lower bounds. Now and then one call of OptiLLM's loop waits out its client's time-out of
60 s, in the blocking SDK or on the way to it; why is not known. Where a mean is far from its median, it tells of such
a call."""


@dataclass(frozen=True)
class Claim:
    """A figure that was promised, and whether this run has it."""

    what: str
    limit: str
    seen: str
    holds: bool


@dataclass(frozen=True)
class Section:
    """A part of the page. `pictures` are names of files in docs/benchmarks/ that the section has drawn."""

    title: str
    text: str
    claims: Sequence[Claim] = field(default=())


Run = Callable[[Path, bool], Section]  # where to draw, and whether to be quick; quick runs are for tests


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def promises(claims: Sequence[Claim]) -> str:
    """The table of what was promised."""
    rows = [[claim.what, claim.limit, claim.seen, "yes" if claim.holds else "**no**"] for claim in claims]
    return table(["what", "promised", "seen", ""], rows)


def machine(*packages: str) -> str:
    """Where it was run, and with which versions of these."""
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    return ", ".join([f"{os.cpu_count()} cores", platform.machine(), f"Python {platform.python_version()}", *versions])


def write(sections: Sequence[Section], seconds: float, path: Path = DOCS / "benchmarks.md") -> None:
    """Write the page: what was run where and when, the promises, then the sections."""
    claims = [claim for section in sections for claim in section.claims]
    parts = [
        "# Benchmarks",
        "OptiLLM's loop and ours against the same simulated API, side by side in one run. Compare within a row: the"
        " seconds are those of a simulation on one machine, and no key was used. Every figure is written by the"
        " command:",
        "<!-- bench -->\n```bash\nmake bench\n```",
        f"Run on {datetime.date.today():%Y-%m-%d} in {seconds / 60:.0f} minutes:"
        f" {machine('optillm', 'cerebras_cloud_sdk')}.",
        "## What a simulation can show",
        WHAT_IT_SHOWS,
        "## What was promised",
        promises(claims),
        *(f"## {section.title}\n\n{section.text}" for section in sections),
    ]
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n")


def insert(text: str, page: Path, begin: str, end: str) -> None:
    """Put the text between two marks of the page. Raises ValueError when they are not there."""
    before, opened, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{page} needs {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
