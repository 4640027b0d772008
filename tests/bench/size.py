"""`python -m bench.size`: measure the size of OptiLLM's installation and of the sidecar's.

Writes the figures into docs/sidecar.md, and exits with 1 if the target is missed. Takes about ten minutes and 8 GB of
temporary disk space, and downloads from the package index.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from bench.page import DOCS, Claim, claims_table, insert, machine, table

BEGIN, END = "<!-- size -->", "<!-- /size -->"
ROOT = DOCS.parent
WHOLE, SIDECAR = "`pip install optillm`", "the sidecar's set, and this package"
TARGET = 30  # times smaller
# Without byte code in both cases: it doubles the size of Python files and is not part of the packages.
PIP = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--python"]
INSTALL = ["install", "--no-compile"]


@dataclass(frozen=True)
class Size:
    """Number of packages in an environment, and their size in bytes."""

    packages: int
    bytes: int


def size_of(environment: Path) -> Size:
    """Return the size of an environment. Links are not followed."""
    (site,) = environment.glob("lib/python3*/site-packages")
    files = (path for path in environment.rglob("*") if path.is_file() or path.is_symlink())
    return Size(len(list(site.glob("*.dist-info"))), sum(path.lstat().st_size for path in files))


def measure(folder: Path) -> Mapping[str, Size]:
    """Install both, one after the other, in this folder."""
    whole = [f"optillm=={metadata.version('optillm')}"]
    locked = ["--no-deps", "--require-hashes", "-r", str(ROOT / "docker" / "requirements-image.lock")]
    measured: dict[str, Size] = {}
    for name, wanted in ((WHOLE, [whole]), (SIDECAR, [locked, ["--no-deps", str(ROOT)]])):
        environment = folder / str(len(measured))
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
        for arguments in wanted:
            subprocess.run([*PIP, str(environment), *INSTALL, *arguments], check=True)
        measured[name] = size_of(environment)
    return measured


def claims(measured: Mapping[str, Size]) -> list[Claim]:
    """Return the target, and whether it is met."""
    times = measured[WHOLE].bytes / measured[SIDECAR].bytes
    return [
        Claim(
            "size of the sidecar's installation, relative to OptiLLM's",
            f"{TARGET} × smaller",
            f"{times:.0f} ×",
            times >= TARGET,
        )
    ]


def report(measured: Mapping[str, Size]) -> str:
    """Return the figures for the page."""
    rows = [[name, size.packages, f"{size.bytes / 1e6:,.0f}"] for name, size in measured.items()]
    run = f"Run on {datetime.date.today():%Y-%m-%d}: {machine('optillm')}. Byte code is not counted."
    return "\n\n".join([run, table(["", "packages", "MB"], rows), claims_table(claims(measured))])


def main() -> None:
    """Measure, and write the figures."""
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder))
    text = report(measured)
    print(text)
    insert(text, DOCS / "sidecar.md", BEGIN, END)
    sys.exit(0 if all(claim.holds for claim in claims(measured)) else 1)


if __name__ == "__main__":
    main()
