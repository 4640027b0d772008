"""Load the settings of one request. Each source is checked, and a later one overrides an earlier one.

The order: the defaults, OptiLLM's CePO configuration (YAML file, then `--cepo_*` flags), the preset of the effort, the
environment (`CEPO_CEREBRAS_<NAME>`), the request body (`cepo_cerebras_<name>`). A request cannot change what the
operator locks, nor exceed the operator's caps and budgets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from optillm_cerebras_cepo.core.errors import BadConfiguration, BadRequest
from optillm_cerebras_cepo.settings.declaration import ANOTHER_FAMILY, CAPS, Settings

ENVIRONMENT = "CEPO_CEREBRAS_"
BODY = "cepo_cerebras_"

# Fields of OptiLLM's CepoConfig that are accepted and ignored: the table of models, the retry policy and logging decide
# instead.
HOST_ONLY = frozenset({"use_reasoning", "use_reasoning_fallback", "num_of_retries", "print_output"})

# What an effort sets. It overrides the configuration file; the environment and the request override it.
PRESETS: Mapping[str, Mapping[str, int | str]] = {
    "low": {"bestofn_n": 1, "planning_n": 2, "planning_m": 3},
    "high": {
        "bestofn_n": 5,
        "planning_n": 3,
        "planning_m": 6,
        "use_plan_diversity": True,
        "rating_model": ANOTHER_FAMILY,
    },
}
# A client's `reasoning_effort` (OpenAI's values) as an effort.
REASONING = {
    **{effort: effort for effort in ("none", "low", "medium", "high", "auto")},
    "minimal": "low",
    "xhigh": "high",
    "max": "high",
}

# Fields of OpenAI's API and of other servers that have the name of a setting.
OTHERS = frozenset({"model", "usage", "service_tier"})
SHOWN = re.compile("[A-Za-z_-]{1,64}")  # a field that a message may name: another one may be a text of the client
OUR_PREFIX = re.compile("cepo_cerebras_?|cerebras_cepo_?|cepocerebras_?|cepo_|cerebras_")  # its usual misspellings

# Settings that only the operator may set: they concern all requests, or limit what a request may set.
OPERATORS = frozenset(
    {
        "concurrency",
        "rpm",
        "tpm",
        "redis_url",
        "locked",
        "max_bestofn_n",
        "max_planning_m",
        "prices",
        "trace_dir",
        "trace_text",
    }
)

# Settings that limit what a request may spend. A request may set a lower value than the operator, not a higher one.
BUDGETS = frozenset({"max_calls", "max_total_tokens", "max_cost"})
PAIR = {"planning_n", "planning_m"}  # plans, and attempts at plans


def load(base: Mapping[str, Any], environ: Mapping[str, str], body: Mapping[str, Any]) -> Settings:
    """Return the settings of one request.

    Args:
        base: OptiLLM's CePO configuration, by field name.
        environ: the process's environment; variables without our prefix are ignored.
        body: the request's fields; only ours and `reasoning_effort` are read.

    Raises:
        BadConfiguration: the base or the environment is invalid; the operator must correct it.
        BadRequest: a field of the body is invalid; `param` names it.

    """
    configured = {name: value for name, value in base.items() if name not in HOST_ONLY}
    refuse_unknown(configured, Settings.model_fields, "the CePO configuration")
    # Select by name first: os.environ decodes a value each time that it is read.
    variables = {
        name.removeprefix(ENVIRONMENT).lower(): environ[name] for name in environ if name.startswith(ENVIRONMENT)
    }
    refuse_unknown(variables, Settings.model_fields, "the environment", spell=lambda name: ENVIRONMENT + name.upper())
    operators = _configured(configured, variables)
    wanted = {name.removeprefix(BODY): value for name, value in body.items() if name.startswith(BODY)}
    if unknown := _unknown(wanted, Settings.model_fields, lambda name: BODY + name):
        raise BadRequest(f"unknown field {unknown[1]}", param=unknown[0])
    for name, value in wanted.items():
        if name in OPERATORS:
            raise BadRequest(f"{BODY + name} is set by the operator only", param=BODY + name)
        if name in operators.locked:
            raise BadRequest(f"{BODY + name} is locked by the operator", param=BODY + name)
        _check_value(name, value, getattr(operators, name))
    reasoning = body.get("reasoning_effort")
    if reasoning is not None and "effort" not in operators.locked:
        # It sets the effort and is never sent to the model. A locked effort ignores it, because many clients send it by
        # default.
        if not isinstance(reasoning, str) or reasoning not in REASONING:
            raise BadRequest(f"reasoning_effort must be one of {', '.join(REASONING)}", param="reasoning_effort")
        wanted = {"effort": REASONING[reasoning]} | wanted
    # Locked settings keep the values that the operator's effort gives them; another effort's preset is not applied.
    values = {**vars(operators), **_preset(operators.effort, vars(operators), variables)}
    fixed = set(operators.locked)
    if fixed & PAIR:
        fixed |= PAIR  # a preset's number of attempts may be too small for a locked number of plans
    locked = {name: values[name] for name in fixed}
    preset = _preset(str(wanted.get("effort", operators.effort)), values, variables.keys() | locked.keys())
    try:
        return Settings.model_validate({**configured, **preset, **variables, **locked, **wanted})
    except ValidationError as error:
        name, reason = _first(error, wanted)
        raise BadRequest(f"{BODY + name}: {reason}", param=BODY + name) from None


def misspelt_fields(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a line for each field that is probably one of ours without its prefix: it has no effect.

    Raises:
        BadRequest: a field can only be meant as one of ours; `param` names it.

    """
    lines = []
    for field in body:
        name = field.lower().replace("-", "_")
        if field.startswith(BODY) or name in OTHERS:
            continue
        if name in Settings.model_fields and name not in OPERATORS:
            lines.append(f"{name}: not read; the field is called {BODY + name}")
        elif prefix := OUR_PREFIX.match(name):
            nearest = difflib.get_close_matches(name[prefix.end() :], Settings.model_fields, n=1)
            if nearest:
                shown = field if SHOWN.fullmatch(field) else BODY + nearest[0]
                raise BadRequest(f"{shown} is not a field; did you mean {BODY + nearest[0]}?", param=shown)
    reasoning = body.get("reasoning")
    if isinstance(reasoning, dict) and "effort" in reasoning:
        lines.append("reasoning: not read; the field is called reasoning_effort")
    return tuple(lines)


def _check_value(name: str, value: object, operators: object) -> None:
    """Raise BadRequest if a field of the body has a wrong JSON type, or is a budget above the operator's."""
    field, default = BODY + name, Settings.model_fields[name].default
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise BadRequest(f"{field} must be true or false", param=field)
    elif (isinstance(default, int | float) or name in BUDGETS) and not is_number:
        raise BadRequest(f"{field} must be a number", param=field)
    if name in BUDGETS and isinstance(operators, int | float) and isinstance(value, int | float) and value > operators:
        raise BadRequest(f"{field}: {value} is more than the operator's {operators:.12g}", param=field)


def refuse_unknown(
    given: Iterable[str], known: Collection[str], where: str, *, spell: Any = str, missing: Iterable[str] = ()
) -> None:
    """Raise BadConfiguration for an unknown name, with the nearest known one, or for a missing name."""
    if unknown := _unknown(given, known, spell):
        raise BadConfiguration(f"unknown field in {where}: {unknown[1]}", param=unknown[0])
    for name in missing:
        raise BadConfiguration(f"missing field in {where}: {name}", param=name)


def _unknown(given: Iterable[str], known: Collection[str], spell: Any) -> tuple[str, str] | None:
    for name in given:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            return spell(name), spell(name) + (f" (did you mean {spell(nearest[0])}?)" if nearest else "")
    return None


def _configured(configured: Mapping[str, Any], names: Mapping[str, Any]) -> Settings:
    """Return the settings without a request. Presets are not applied: they depend on the request's effort."""
    values = {**configured, **names}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        name, reason = _first(error, values)
        where = f"{ENVIRONMENT}{name.upper()}" if name in names else f"the CePO configuration's {name}"
        raise BadConfiguration(f"{where}: {reason}", param=name) from None


def _first(error: ValidationError, given: Iterable[str]) -> tuple[str, str]:
    """Return the field at fault and the reason. If two fields contradict each other, it is the one given last."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    if first["loc"]:
        return str(first["loc"][0]), reason[:1].lower() + reason[1:]
    return next((name for name in reversed(list(given)) if name in reason.split()), "planning_m"), reason


def _preset(effort: str, values: Mapping[str, Any], fixed: Collection[str]) -> dict[str, Any]:
    """Return what an effort sets: nothing that is fixed, no number above its cap, attempts at least plans.

    A configured judge stays. If the model is fixed, no other one is called.

    Args:
        effort: one of the efforts; an unknown one sets nothing.
        values: all current settings, within their caps.
        fixed: settings that keep their current value.

    """
    preset: dict[str, Any] = {name: value for name, value in PRESETS.get(effort, {}).items() if name not in fixed}
    if values["rating_model"] or "model" in fixed:
        preset.pop("rating_model", None)
    for name in preset.keys() & CAPS.keys():
        cap = values[CAPS[name]]
        preset[name] = preset[name] if cap is None else min(preset[name], cap)
    if "planning_m" in preset and "planning_n" not in preset:
        preset["planning_m"] = max(preset["planning_m"], values["planning_n"])
    if "planning_n" in preset and "planning_m" not in preset:
        preset["planning_n"] = min(preset["planning_n"], values["planning_m"])
    return preset
