"""Grafana's schema of a dashboard, as the classes of grafana-foundation-sdk state it (Python 3.11 or later).

It is the classic schema. Grafana 13 converts such a file to the schema's successor, version 2, when it loads it.
"""

from __future__ import annotations

import enum
import json
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.cog.runtime import Runtime
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel


def violations(text: str) -> list[str]:
    """Return what Grafana would ignore or refuse in a dashboard, a line each.

    Its classes read any JSON: they drop fields that they do not know, and check no type. So each value is compared with
    the type that its class states, and the file with what is left of it after reading and writing.
    """
    register_default_plugins()
    stored = json.loads(text)
    read = Dashboard.from_json(stored)
    written = json.loads(json.dumps(read, cls=JSONEncoder))
    panels = [panel for panel in read.panels or [] if isinstance(panel, Panel)]
    return [
        *_wrong_types(read, Dashboard, "dashboard"),
        *_lost(stored, written, "dashboard"),
        *(f"{panel.title}: no panel type: {panel.type_val}" for panel in panels if not _is_type(panel.type_val)),
        *(f"{panel.title}: no unit: {_unit(panel)}" for panel in panels if _unit(panel) not in vars(units).values()),
    ]


def _is_type(name: str) -> bool:
    return Runtime().panelcfg_config(name) is not None


def _unit(panel: Panel) -> str | None:
    return panel.field_config.defaults.unit if panel.field_config else None


def _wrong_types(value: Any, hint: Any, path: str) -> Iterator[str]:
    """Yield the places below `value` that do not have the stated type."""
    kind, parameters = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        problems = [list(_wrong_types(value, parameter, path)) for parameter in parameters]
        yield from min(problems, key=len)
    elif hasattr(value, "to_json"):  # one of Grafana's classes; `hint` may be a base class or `object`
        if isinstance(hint, type) and not isinstance(value, hint):
            yield f"{path}: {type(value).__name__} instead of {hint.__name__}"
        for name, attribute_hint in get_type_hints(type(value)).items():
            yield from _wrong_types(getattr(value, name), attribute_hint, f"{path}.{name}")
    elif kind is list and isinstance(value, list):
        for number, item in enumerate(value):
            yield from _wrong_types(item, parameters[0], f"{path}[{number}]")
    elif kind is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from _wrong_types(item, parameters[1], f"{path}.{key}")
    elif not _has_type(value, hint):
        yield f"{path}: {value!r} is not {hint}"


def _has_type(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint in (Any, object):
        return True
    if not isinstance(hint, type):
        return False
    if issubclass(hint, enum.Enum):
        return value in [member.value for member in hint]
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool)
    return isinstance(value, hint)


def _lost(stored: Any, written: Any, path: str) -> Iterator[str]:
    """Yield the places of the file that reading and writing changes. Defaults may be added."""
    if isinstance(stored, dict) and isinstance(written, dict):
        for key, value in stored.items():
            if key in written:
                yield from _lost(value, written[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key}: unknown to Grafana"
    elif isinstance(stored, list) and isinstance(written, list) and len(stored) == len(written):
        for number, pair in enumerate(zip(stored, written, strict=True)):
            yield from _lost(*pair, f"{path}[{number}]")
    elif stored != written:
        yield f"{path}: {stored!r} is read as {written!r}"
