"""The tables of the documentation that the code decides, written between marks of the pages: `make docs`.

    PYTHONPATH=tests python -m support.generated_docs [--check]

With --check nothing is written, and the exit status is 1 when a page is not as it would be written.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from optillm_cerebras_cepo.budget import Means
from optillm_cerebras_cepo.cepo.workload import Costs, asked_for, bill, borne
from optillm_cerebras_cepo.chat import Label, Step, Usage
from optillm_cerebras_cepo.errors import Ended
from optillm_cerebras_cepo.events import Called
from optillm_cerebras_cepo.llm.models import MODELS
from optillm_cerebras_cepo.settings import BODY, ENVIRONMENT, OPERATORS, Settings
from optillm_cerebras_cepo.sidecar.metrics import Metrics
from optillm_cerebras_cepo.sidecar.options import FLAGS, Options, spelled
from support.error_kinds import error_kinds

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Part:
    """A part of a page between two marks: `<!-- name -->` and `<!-- /name -->`, in YAML `# name` and `# /name`."""

    page: str
    name: str
    text: Callable[[], str]

    def written(self, page: str) -> str:
        """Return the page with this part as the code has it. Raise ValueError when its marks are not there."""
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


def shown(value: object) -> str:
    """A default as it is written in the environment."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple():
            return ",".join(value)
    return str(value)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(
        ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *("| " + " | ".join(row) + " |" for row in rows)]
    )


def settings() -> str:
    """Every setting, in the order of its declaration."""
    rows = (
        (f"`{ENVIRONMENT}{name.upper()}`", shown(setting.default), str(setting.description))
        for name, setting in Settings.model_fields.items()
    )
    return table(("variable", "default", "meaning"), rows)


def models() -> str:
    """The models with a row in the table of what each takes."""
    return ", ".join(f"`{model.id}`" for model in MODELS)


def flags() -> str:
    """The sidecar's own options."""
    defaults = Options()
    rows = (
        (f"`{spelled(name)}`", f"`{ENVIRONMENT}{name.upper()}`", shown(getattr(defaults, name)), flag.help)
        for name, flag in FLAGS.items()
    )
    return table(("flag", "variable", "default", "what"), rows)


def metrics() -> str:
    """What /metrics prints of ours; the figures of the process are the library's."""
    seen = Metrics(lambda: 0)
    seen.heard(Called(Label(Step.PLAN, 1), 1.0, Usage(1, 1)))
    seen.answered("/v1/chat/completions", "cepo_cerebras", "medium", 200, 1.0)
    return table(("name", "kind", "labels", "what"), _families(seen.page().decode()))


def _families(page: str) -> Iterator[tuple[str, str, str, str]]:
    for family in text_string_to_metric_families(page):
        if family.name.startswith("cepo_cerebras"):
            labels = dict.fromkeys(name for sample in family.samples for name in sample.labels if name != "le")
            name = f"`{family.name}{'_total' if family.type == 'counter' else ''}`"
            yield name, family.type, ", ".join(labels), family.documentation


def budgets() -> str:
    """What becomes of a default request with less than its 27 calls."""
    costs, defaults = Costs(prompt=lambda _: 1, reply=lambda _: 1, last_resort=1), Settings()
    whole = asked_for(defaults, defaults.bestofn_n)

    def planned(calls: int) -> tuple[str, ...]:
        work = borne(defaults, whole, 1, Means(calls=calls), costs).work
        made = str(bill(defaults, work, costs).calls)
        if not work.plans:
            return "none: a direct answer", "", "", made
        rated = ", rated" if work.ratings and work.candidates > 1 else ""
        return f"{work.candidates}{rated}", str(work.plans), "yes" if work.review else "no", made

    rows = []
    for row, same in groupby(range(int(bill(defaults, whole, costs).calls), 0, -1), planned):
        calls = sorted(same)
        rows.append((str(calls[0]) if len(calls) == 1 else f"{calls[0]} to {calls[-1]}", *row))
    return table(("`max_calls`", "candidates", "plans of each", "review", "calls"), rows)


def request_fields() -> str:
    """The settings that a request may set, as an OpenAPI schema has them."""
    declared = Settings.model_json_schema()["properties"]
    return _yaml({BODY + name: _field(name, declared[name]) for name in Settings.model_fields if name not in OPERATORS})


def _field(name: str, declared: dict[str, Any]) -> dict[str, Any]:
    """Return a setting's schema; null is a field that is not given."""
    described = {"description": declared["description"]}
    if name == "model":  # in a request a text as well, which is split at its commas
        return {"$ref": "#/components/schemas/Models", **described}
    kind = declared["anyOf"][0] if "anyOf" in declared else declared
    if "enum" in kind:
        return {"enum": [*kind["enum"], None], **described}
    bounds = {bound: kind[bound] for bound in ("minimum", "exclusiveMinimum", "maximum") if bound in kind}
    return {"type": [kind["type"], "null"], **bounds, **described}


def error_codes() -> str:
    """The codes of errors, a schema for each status; an error without a code is a defect."""
    codes: dict[int, list[str | None]] = {}
    for kind in error_kinds():
        if kind is not Ended:  # nobody waits to hear of it
            codes.setdefault(kind.status, []).append(kind.code)
    schemas = {
        f"Code{status}": {"enum": sorted(set(codes[status]), key=lambda code: code or "~")} for status in sorted(codes)
    }
    return _yaml(schemas)


def _yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    return text


def environment() -> str:
    """What docker/compose.yaml passes on to a sidecar."""
    names = ["# the sidecar's options", *FLAGS, "# the settings of requests", *Settings.model_fields]
    return "\n".join(name if name.startswith("#") else f"{ENVIRONMENT}{name.upper()}:" for name in names)


PARTS = (
    Part("README.md", "settings", settings),
    Part("README.md", "models", models),
    Part("docs/reliability.md", "budgets", budgets),
    Part("docs/sidecar.md", "flags", flags),
    Part("docs/sidecar.md", "metrics", metrics),
    Part("docs/openapi.yaml", "settings", request_fields),
    Part("docs/openapi.yaml", "codes", error_codes),
    Part("docker/compose.yaml", "environment", environment),
)


def stale(root: Path = ROOT, *, write: bool = False) -> list[str]:
    """Return the parts that are not as the code has them; bring them up to date if `write`."""
    found = []
    for part in PARTS:
        path = root / part.page
        before = path.read_text(encoding="utf-8")
        after = part.written(before)
        if after != before:
            found.append(f"{part.page}: {part.name}")
            if write:
                path.write_text(after, encoding="utf-8")
    return found


def main(arguments: Sequence[str]) -> int:
    """Write the parts that have changed, or say which they are."""
    check = "--check" in arguments
    found = stale(write=not check)
    for part in found:
        print(f"{part} {'is stale: run make docs' if check else 'written'}")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
