"""The page that a run writes: sections with text, tables and pictures."""

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
OptiLLM's functions and ours make real HTTP calls to a simulated API that counts, delays and refuses calls as
configured. This shows what a loop does: the number and order of its calls, its tokens, its own delays, and the result
of a request when calls are slow or refused. It does not show what a model does: the length of its replies, the quality
of its answers, or the speed and load balancing of the API. Lengths, latencies and the model's accuracy are assumptions,
given with each table. The loops and the simulated API share the processor, so figures under load are lower bounds.
Occasionally a call of OptiLLM's loop waits for its client's timeout of 60 s, for an unknown reason; then a mean is far
from its median."""


@dataclass(frozen=True)
class Claim:
    """A target for a figure, and whether this run meets it. A `headline` also stands at the top of the page."""

    what: str
    limit: str
    measured: str
    holds: bool
    headline: bool = False


@dataclass(frozen=True)
class Section:
    """A section of the page. `headline_picture` stands at the top of the page, as Markdown with its caption."""

    title: str
    text: str
    claims: Sequence[Claim] = field(default=())
    headline_picture: str = ""


Run = Callable[[Path, bool], Section]  # folder of pictures, and whether the run is a quick one for tests


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def claims_table(claims: Sequence[Claim]) -> str:
    """Return the table of targets."""
    rows = [[claim.what, claim.limit, claim.measured, "yes" if claim.holds else "**no**"] for claim in claims]
    return table(["figure", "target", "measured", "met"], rows)


def machine(*packages: str) -> str:
    """Describe the machine and the versions of these packages."""
    versions = [f"{name} {metadata.version(name)}" for name in packages]
    return ", ".join([f"{os.cpu_count()} cores", platform.machine(), f"Python {platform.python_version()}", *versions])


def write(sections: Sequence[Section], seconds: float, path: Path = DOCS / "benchmarks.md") -> None:
    """Write the page: headline figures with their picture, the sections, then all targets."""
    claims = [claim for section in sections for claim in section.claims]
    parts = [
        "# Benchmarks",
        "For readers who want to know whether this package is worth using, and for contributors who check that a change"
        " made nothing worse. OptiLLM's own loop and ours run on the same simulated API, without a key. Compare figures"
        " within a row: the seconds are those of a simulation on one machine.",
        "The figures that matter most:",
        claims_table([claim for claim in claims if claim.headline]),
        *(section.headline_picture for section in sections if section.headline_picture),
        "This command writes all figures and pictures of the page:",
        "<!-- bench -->\n```bash\nmake bench\n```",
        f"Run on {datetime.date.today():%Y-%m-%d} in {seconds / 60:.0f} minutes:"
        f" {machine('optillm', 'cerebras_cloud_sdk')}.",
        "## What a simulation can show",
        WHAT_IT_SHOWS,
        *(f"## {section.title}\n\n{section.text}" for section in sections),
        "## All targets",
        claims_table(claims),
    ]
    path.write_text("\n\n".join(part.strip() for part in parts) + "\n")


def insert(text: str, page: Path, begin: str, end: str) -> None:
    """Replace the text between two marks of a page. Raise ValueError if a mark is missing."""
    before, opened, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (opened and closed):
        raise ValueError(f"{page} needs {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
