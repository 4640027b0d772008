"""Write the parts of the documentation that follow from the code: `make docs`.

    PYTHONPATH=tests python -m support.generated_docs [--check]

With --check nothing is written; the exit status is 1 if a page is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from optillm_cerebras_cepo import __version__
from support import doc_texts

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class GeneratedPart:
    """Part of a page between two marks: `<!-- name -->` and `<!-- /name -->`, in YAML `# name` and `# /name`."""

    page: str
    name: str
    text: Callable[[], str]

    def insert_into(self, page: str) -> str:
        """Return the page with this part brought up to date. Raise ValueError if a mark is missing."""
        begin, end, gap = f"<!-- {self.name} -->\n", f"<!-- /{self.name} -->\n", "\n"
        if self.page.endswith(".yaml"):
            begin, end, gap = f"# {self.name}, written by `make docs`\n", f"# /{self.name}\n", ""
        before, opened, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (opened and closed):
            raise ValueError(f"{self.page} needs {begin.strip()} and {end.strip()}")
        indent = before.rpartition("\n")[2]
        lines = [f"{indent}{line}".rstrip() + "\n" for line in self.text().splitlines()]
        return "".join([before, opened, gap, *lines, gap, indent, closed, after])


PARTS = (
    GeneratedPart("README.md", "settings", doc_texts.common_settings),
    GeneratedPart("docs/settings.md", "settings", doc_texts.all_settings),
    GeneratedPart("docs/settings.md", "models", doc_texts.models),
    GeneratedPart("docs/reliability.md", "budgets", doc_texts.budgets),
    GeneratedPart("docs/errors.md", "errors", doc_texts.error_table),
    GeneratedPart("docs/sidecar.md", "flags", doc_texts.flags),
    GeneratedPart("docs/sidecar.md", "metrics", doc_texts.metrics),
    GeneratedPart("docs/openapi.yaml", "version", lambda: f"version: {__version__}"),
    GeneratedPart("docs/openapi.yaml", "settings", doc_texts.request_fields),
    GeneratedPart("docs/openapi.yaml", "codes", doc_texts.error_codes),
    GeneratedPart("docker/compose.yaml", "environment", doc_texts.environment),
)


def outdated(root: Path = ROOT, *, write: bool = False) -> list[str]:
    """Return the parts that differ from the code; bring them up to date if `write`."""
    found = []
    for part in PARTS:
        path = root / part.page
        before = path.read_text(encoding="utf-8")
        after = part.insert_into(before)
        if after != before:
            found.append(f"{part.page}: {part.name}")
            if write:
                path.write_text(after, encoding="utf-8")
    return found


def main(arguments: Sequence[str]) -> int:
    """Write the parts that have changed, or with --check report them."""
    check = "--check" in arguments
    found = outdated(write=not check)
    for part in found:
        print(f"{part}: {'out of date, run make docs' if check else 'written'}")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
