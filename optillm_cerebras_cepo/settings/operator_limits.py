"""What an operator keeps from requests: settings that stay as they are, and numbers that nobody goes beyond.

Pure rules over settings by name. What breaks one is a ValueError here; `settings` knows whose fault that is.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

# Each number that has a cap, with the setting that holds it. More plans than attempts there never are.
CAPS = {"bestofn_n": "max_bestofn_n", "planning_n": "max_planning_m", "planning_m": "max_planning_m"}

# What a request may spend. It may ask for less than the operator gives, not for more.
BUDGETS = frozenset({"max_calls", "max_total_tokens"})


def check_locked(locked: Iterable[str], known: Collection[str]) -> None:
    """Raise ValueError for the first locked name that nobody knows.

    It is told by its place, counted from 1: what stands in a variable by mistake may be a secret.
    """
    for place, name in enumerate(locked, 1):
        if name not in known:
            # A name may have been written as a variable or as a field of the body.
            nearest = difflib.get_close_matches(name.lower().removeprefix("cepo_cerebras_"), known, n=1)
            raise ValueError(f"name {place} is no setting" + (f" (did you mean {nearest[0]}?)" if nearest else ""))


def check_caps(values: Mapping[str, Any]) -> None:
    """Raise ValueError for the first number beyond its cap."""
    for name, cap in CAPS.items():
        if values[cap] is not None and values[name] > values[cap]:
            raise ValueError(f"{name} ({values[name]}) is beyond the operator's {cap} ({values[cap]})")


def check_budget(name: str, own: object, wanted: object) -> None:
    """Raise ValueError where a request asks for more of a budget than the operator gives to each."""
    if name in BUDGETS and isinstance(own, int) and isinstance(wanted, int | float) and wanted > own:
        raise ValueError(f"{wanted} is more than the operator's {own}")


def unchanged(locked: Collection[str]) -> frozenset[str]:
    """What no effort changes: the locked settings, and of plans and attempts both where one is locked.

    Not every number of the one suits the other.
    """
    pair = {"planning_n", "planning_m"}
    return frozenset(locked) | (pair if pair & set(locked) else set())


def within(preset: Mapping[str, int], values: Mapping[str, Any], kept: Collection[str]) -> dict[str, int]:
    """What of an effort's preset applies: nothing that is kept, nothing beyond a cap, and no fewer attempts than plans.

    Args:
        preset: the numbers that the effort asks for; of plans and attempts both or neither.
        values: all settings as they stand, within their caps.
        kept: names whose standing value stays.

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
