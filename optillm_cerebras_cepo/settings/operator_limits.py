"""Limits that an operator sets for requests: locked settings, caps, and budgets. Pure: settings are given by name.

A violation raises ValueError. `loading.py` turns it into an error of the operator or of the client.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

# Settings with a cap, and the setting that is the cap. Plans share that of attempts: there are never more plans.
CAPS = {"bestofn_n": "max_bestofn_n", "planning_n": "max_planning_m", "planning_m": "max_planning_m"}

# Settings that limit what a request may spend. A request may set a lower value than the operator, not a higher one.
BUDGETS = frozenset({"max_calls", "max_total_tokens"})


def check_locked(locked: Iterable[str], known: Collection[str]) -> None:
    """Raise ValueError for the first locked name that is no setting.

    The message has its position, counted from 1, and not the name, which may be a secret that was set by mistake.
    """
    for place, name in enumerate(locked, 1):
        if name not in known:
            # A name may have been written as a variable or as a field of the body.
            nearest = difflib.get_close_matches(name.lower().removeprefix("cepo_cerebras_"), known, n=1)
            raise ValueError(f"name {place} is no setting" + (f" (did you mean {nearest[0]}?)" if nearest else ""))


def check_caps(values: Mapping[str, Any]) -> None:
    """Raise ValueError for the first setting above its cap."""
    for name, cap in CAPS.items():
        if values[cap] is not None and values[name] > values[cap]:
            raise ValueError(f"{name} ({values[name]}) is beyond the operator's {cap} ({values[cap]})")


def check_budget(name: str, own: object, wanted: object) -> None:
    """Raise ValueError if a request sets a budget above the operator's."""
    if name in BUDGETS and isinstance(own, int) and isinstance(wanted, int | float) and wanted > own:
        raise ValueError(f"{wanted} is more than the operator's {own}")


def unchanged(locked: Collection[str]) -> frozenset[str]:
    """Return the settings that no preset changes: the locked ones, and both plans and attempts if one of them is.

    A preset's number of attempts may be too small for a locked number of plans.
    """
    pair = {"planning_n", "planning_m"}
    return frozenset(locked) | (pair if pair & set(locked) else set())


def within(preset: Mapping[str, int], values: Mapping[str, Any], kept: Collection[str]) -> dict[str, int]:
    """Return the part of a preset that applies: without kept settings, lowered to the caps, attempts at least plans.

    Args:
        preset: the numbers that the effort sets; both plans and attempts, or neither.
        values: all current settings, within their caps.
        kept: settings that keep their current value.

    """
    applied = {name: value for name, value in preset.items() if name not in kept}
    for name in applied:
        cap = values[CAPS[name]]
        applied[name] = applied[name] if cap is None else min(applied[name], cap)
    if "planning_m" in applied and "planning_n" not in applied:
        applied["planning_m"] = max(applied["planning_m"], values["planning_n"])
    if "planning_n" in applied and "planning_m" not in applied:
        applied["planning_n"] = min(applied["planning_n"], values["planning_m"])
    return applied
