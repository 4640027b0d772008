"""`python -m bench.size`: what pip installs with OptiLLM, and what it installs for the sidecar.

Writes the figures into docs/sidecar.md, and exits with 1 when the promise is broken. Takes about ten minutes and 8 GB
of disk for a while, and asks the package index.
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

from bench.page import DOCS, Claim, insert, machine, promises, table

BEGIN, END = "<!-- size -->", "<!-- /size -->"
ROOT = DOCS.parent
WHOLE, SIDECAR = "`pip install optillm`", "the sidecar's set, and this package"
LEAST = 30  # times smaller
# Alike for both: nothing compiled, which adds as much again to Python's own files, and is not what an index serves.
PIP = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--python"]
INSTALL = ["install", "--no-compile"]


@dataclass(frozen=True)
class Size:
    """Packages in an environment, and their bytes."""

    packages: int
    bytes: int


def size_of(environment: Path) -> Size:
    """Count what is installed there. A link's bytes are its own."""
    (site,) = environment.glob("lib/python3*/site-packages")
    files = (path for path in environment.rglob("*") if path.is_file() or path.is_symlink())
    return Size(len(list(site.glob("*.dist-info"))), sum(path.lstat().st_size for path in files))


def measure(folder: Path) -> Mapping[str, Size]:
    """Install both, one after the other, below this folder."""
    whole = [f"optillm=={metadata.version('optillm')}"]
    locked = ["--no-deps", "--require-hashes", "-r", str(ROOT / "docker" / "requirements-image.lock")]
    seen: dict[str, Size] = {}
    for name, wanted in ((WHOLE, [whole]), (SIDECAR, [locked, ["--no-deps", str(ROOT)]])):
        environment = folder / str(len(seen))
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
        for arguments in wanted:
            subprocess.run([*PIP, str(environment), *INSTALL, *arguments], check=True)
        seen[name] = size_of(environment)
    return seen


def claims(seen: Mapping[str, Size]) -> list[Claim]:
    """What was promised."""
    times = seen[WHOLE].bytes / seen[SIDECAR].bytes
    return [Claim("installed for the sidecar, of OptiLLM's own", f"{LEAST} × less", f"{times:.0f} ×", times >= LEAST)]


def report(seen: Mapping[str, Size]) -> str:
    """The figures, as they stand on the page."""
    rows = [[name, size.packages, f"{size.bytes / 1e6:,.0f}"] for name, size in seen.items()]
    told = f"Run on {datetime.date.today():%Y-%m-%d}: {machine('optillm')}. No byte code is counted."
    return "\n\n".join([told, table(["", "packages", "MB"], rows), promises(claims(seen))])


def main() -> None:
    """Install, count, write."""
    with tempfile.TemporaryDirectory() as folder:
        seen = measure(Path(folder))
    text = report(seen)
    print(text)
    insert(text, DOCS / "sidecar.md", BEGIN, END)
    sys.exit(0 if all(claim.holds for claim in claims(seen)) else 1)


if __name__ == "__main__":
    main()
