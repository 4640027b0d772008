"""The texts of the documentation that follow from the code: settings, models, flags, metrics, budgets, errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from optillm_cerebras_cepo.cepo.workload import StepCosts, estimate_cost, fit_to_resources, requested_workload
from optillm_cerebras_cepo.core.budget import Resources
from optillm_cerebras_cepo.core.errors import CepoError, Ended, Superseded
from optillm_cerebras_cepo.llm.models import MODELS
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.settings.loading import BODY, ENVIRONMENT, OPERATORS
from optillm_cerebras_cepo.sidecar.options import FLAGS, Options, flag_name
from support.counted_metrics import counted_metrics
from support.error_kinds import error_kinds

ROOT = Path(__file__).parents[2]

# The settings that the README shows; docs/settings.md has all of them.
COMMON_SETTINGS = (
    "model",
    "effort",
    "deadline",
    "max_calls",
    "max_total_tokens",
    "bestofn_n",
    "rating_model",
    "rpm",
    "redis_url",
    "locked",
)


def format_default(value: object) -> str:
    """Return a default as it is written in the environment."""
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
    """Return a Markdown table."""
    return "\n".join(
        ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *("| " + " | ".join(row) + " |" for row in rows)]
    )


def common_settings() -> str:
    """Return the README's table: the settings that most operators and clients need."""
    rows = ((_variable(name), _default(name), _in_requests(name), _meaning(name)) for name in COMMON_SETTINGS)
    return table(("variable", "default", "in requests", "meaning"), rows)


def all_settings() -> str:
    """Return the table of every setting, in the order of the declaration."""
    declared = Settings.model_json_schema()["properties"]
    rows = (
        (
            _variable(name),
            _default(name),
            _values(declared[name]),
            _in_requests(name),
            _meaning(name),
        )
        for name in Settings.model_fields
    )
    return table(("variable", "default", "values", "in requests", "meaning"), rows)


def _variable(name: str) -> str:
    return f"`{ENVIRONMENT}{name.upper()}`"


def _default(name: str) -> str:
    return format_default(Settings.model_fields[name].default)


def _in_requests(name: str) -> str:
    return "no" if name in OPERATORS else "yes"


def _meaning(name: str) -> str:
    return str(Settings.model_fields[name].description)


def _values(declared: dict[str, Any]) -> str:
    """Return the type and range of a setting, from its JSON schema."""
    kind = declared["anyOf"][0] if "anyOf" in declared else declared
    if "enum" in kind:
        return ", ".join(f"`{value}`" for value in kind["enum"])
    name = {"array": "names, separated by commas", "string": "text", "boolean": "true or false"}.get(kind["type"])
    if name:
        return name
    low, above, high = kind.get("minimum"), kind.get("exclusiveMinimum"), kind.get("maximum")
    range_ = [f"from {low:,g}"] if low is not None else [f"above {above:,g}"] if above is not None else []
    range_ += [f"to {high:,g}"] if high is not None else []
    return " ".join([kind["type"], *range_])


def models() -> str:
    """Return the table of models, for readers."""
    rows = (
        (
            f"`{model.id}`",
            f"{model.context:,}" if model.context else "",
            ", ".join(model.efforts),
            f"{model.price.prompt:.2f} / {model.price.completion:.2f}" if model.price else "unknown",
        )
        for model in MODELS
    )
    return table(
        ("model", "context (tokens)", "`reasoning_effort`", "dollars per million tokens, prompts / replies"), rows
    )


def flags() -> str:
    """Return the table of the sidecar's own options."""
    defaults = Options()
    rows = (
        (f"`{flag_name(name)}`", _variable(name), format_default(getattr(defaults, name)), flag.help)
        for name, flag in FLAGS.items()
    )
    return table(("flag", "variable", "default", "meaning"), rows)


def metrics() -> str:
    """Return the table of the metrics that the sidecar defines, without those of the Prometheus library."""
    return table(("name", "type", "labels", "meaning"), _families(counted_metrics().render().decode()))


def _families(page: str) -> Iterator[tuple[str, str, str, str]]:
    for family in text_string_to_metric_families(page):
        if family.name.startswith("cepo_cerebras"):
            labels = dict.fromkeys(name for sample in family.samples for name in sample.labels if name != "le")
            name = f"`{family.name}{'_total' if family.type == 'counter' else ''}`"
            yield name, family.type, ", ".join(labels), family.documentation


def budgets() -> str:
    """Return the table of what is left of a default request when its budget has fewer than 27 calls."""
    costs, defaults = StepCosts(prompt=lambda _: 1, reply=lambda _: 1, last_resort=1), Settings()
    whole = requested_workload(defaults, defaults.bestofn_n)

    def planned(calls: int) -> tuple[str, ...]:
        work = fit_to_resources(defaults, whole, 1, Resources(calls=calls), costs).work
        made = str(estimate_cost(defaults, work, costs).calls)
        if not work.plans:
            return "none: a direct answer", "", "", made
        rated = ", rated" if work.ratings and work.candidates > 1 else ""
        return f"{work.candidates}{rated}", str(work.plans), "yes" if work.review else "no", made

    rows = []
    for row, same in groupby(range(int(estimate_cost(defaults, whole, costs).calls), 0, -1), planned):
        calls = sorted(same)
        rows.append((str(calls[0]) if len(calls) == 1 else f"{calls[0]} to {calls[-1]}", *row))
    return table(("`max_calls`", "candidates", "plans per candidate", "review", "calls made"), rows)


def error_table() -> str:
    """Return the table of errors: the text of each row as it stands on the page, everything else from the classes."""
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    texts = dict(re.findall(r"^\| `(\w+)` \| \d+ \| (.*?) \| (?:yes|no) \|", page, re.MULTILINE))
    kinds = {kind.code: kind for kind in error_kinds() if kind.code}
    order = [*(code for code in texts if code in kinds), *(code for code in kinds if code not in texts)]
    rows = ((f"`{code}`", *_error_row(kinds[code], texts.get(code, "TODO"))) for code in order)
    return table(("code", "status", "what happened, and what to do", "retried", "ends"), rows)


def _error_row(kind: type[CepoError], text: str) -> tuple[str, ...]:
    ends = kind.scope.value + (", discards" if kind.discards_answers else "")
    return str(kind.status), text, "yes" if kind.retryable else "no", ends


def _reported_errors() -> list[type[CepoError]]:
    """Return the errors that a client can receive.

    `Ended` is raised after the client has left, and of a call that is `Superseded` another one has the reply.
    """
    return [kind for kind in error_kinds() if kind not in (Ended, Superseded)]


def request_fields() -> str:
    """Return the settings that a request may set, as OpenAPI properties."""
    declared = Settings.model_json_schema()["properties"]
    return _yaml({BODY + name: _field(name, declared[name]) for name in Settings.model_fields if name not in OPERATORS})


def _field(name: str, declared: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a setting in a request; null means that the field is not given."""
    described = {"description": declared["description"]}
    if name == "model":  # a request may also give one string, which is split at its commas
        return {"$ref": "#/components/schemas/Models", **described}
    kind = declared["anyOf"][0] if "anyOf" in declared else declared
    if "enum" in kind:
        return {"enum": [*kind["enum"], None], **described}
    bounds = {bound: kind[bound] for bound in ("minimum", "exclusiveMinimum", "maximum") if bound in kind}
    return {"type": [kind["type"], "null"], **bounds, **described}


def error_codes() -> str:
    """Return an OpenAPI schema per status with its error codes. An error without a code is a defect of this package."""
    codes: dict[int, list[str | None]] = {}
    for kind in _reported_errors():
        codes.setdefault(kind.status, []).append(kind.code)
    schemas = {
        f"Code{status}": {"enum": sorted(set(codes[status]), key=lambda code: code or "~")} for status in sorted(codes)
    }
    return _yaml(schemas)


def _yaml(value: object) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
    return text


def environment() -> str:
    """Return the variables that docker/compose.yaml passes on to a sidecar."""
    names = ["# the sidecar's options", *FLAGS, "# the settings of requests", *Settings.model_fields]
    return "\n".join(name if name.startswith("#") else f"{ENVIRONMENT}{name.upper()}:" for name in names)
