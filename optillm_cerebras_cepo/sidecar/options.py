"""What the sidecar itself is told, by flag or by environment; all other flags are OptiLLM's."""

from __future__ import annotations

import argparse
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from optillm_cerebras_cepo.errors import BadConfiguration

PREFIX = "CEPO_CEREBRAS_"


@dataclass(frozen=True)
class Options:
    """Limits and choices of one sidecar.

    Attributes:
        approaches: what requests may choose.
        choose_by_message: whether an `<optillm_approach>` tag in a message chooses; else it is text like any other.
        max_requests: questions that are worked on at once.
        max_queue: questions that may wait beyond these; the next one is answered 503.
        max_body: MiB of a request's body.
        grace: seconds that requests have to finish in once the sidecar is told to stop.

    """

    approaches: tuple[str, ...] = ("cepo_cerebras", "none")
    choose_by_message: bool = False
    max_requests: int = 32
    max_queue: int = 64
    max_body: float = 16.0
    grace: float = 25.0


@dataclass(frozen=True)
class _Flag:
    read: Callable[[str], Any]
    must: str
    help: str


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in (part.strip() for part in text.split(",")) if name) or _wrong()


def _switch(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _body(text: str) -> float:
    return number if 0 < (number := float(text)) <= 16 else _wrong()  # beyond, the plugin's own limit holds


def _seconds(text: str) -> float:
    return number if 0 <= (number := float(text)) < 1e6 else _wrong()


def _count(text: str) -> int:
    return number if 0 < (number := int(text)) < 10_000 else _wrong()


def _count_or_none(text: str) -> int:
    return number if 0 <= (number := int(text)) < 10_000 else _wrong()


def _wrong() -> Any:
    raise ValueError


FLAGS = {
    "approaches": _Flag(_names, "names of approaches, separated by commas", "what requests may choose"),
    "choose_by_message": _Flag(_switch, "true or false", "let a tag in a message choose the approach"),
    "max_requests": _Flag(_count, "a number from 1 to 9999", "questions worked on at once"),
    "max_queue": _Flag(_count_or_none, "a number from 0 to 9999", "questions that may wait; the next is answered 503"),
    "max_body": _Flag(_body, "a number of MiB, at most 16", "MiB of a request's body"),
    "grace": _Flag(_seconds, "a number of seconds", "seconds to finish in after SIGTERM"),
}


def options_from(arguments: Sequence[str], environ: MutableMapping[str, str]) -> tuple[Options, list[str]]:
    """Read our flags and variables, flags first, and return the flags that are left for OptiLLM.

    The variables are taken out of the environment: what is left there under our prefix are settings of requests.

    Raises:
        BadConfiguration: a value cannot be; the message names the flag or the variable.

    """
    parser = argparse.ArgumentParser(prog="cepo-cerebras serve", add_help=False, allow_abbrev=False)
    for name, flag in FLAGS.items():
        # A switch needs no value on the command line.
        extra = {"nargs": "?", "const": "true"} if flag.read is _switch else {}
        parser.add_argument(spelled(name), dest=name, help=flag.help, **extra)  # type: ignore[arg-type]
    given, others = parser.parse_known_args(arguments)
    values: dict[str, Any] = {}
    for name, flag in FLAGS.items():
        variable = PREFIX + name.upper()
        standing, said = environ.pop(variable, None), getattr(given, name)
        if said is not None:
            values[name] = _read(flag, said, spelled(name))
        elif standing is not None:
            values[name] = _read(flag, standing, variable)
    return Options(**values), others


def spelled(name: str) -> str:
    """An option's name as a flag."""
    return "--" + name.replace("_", "-")


def explained() -> str:
    """Our flags with their defaults, a line each, for the help."""
    defaults = {field.name: field.default for field in fields(Options)}

    def shown(value: object) -> str:
        return ",".join(value) if isinstance(value, tuple) else str(value).lower()

    return "\n".join(f"  {spelled(name):20} {flag.help} ({shown(defaults[name])})" for name, flag in FLAGS.items())


def _read(flag: _Flag, text: str, where: str) -> Any:
    try:
        return flag.read(text)
    except (ValueError, KeyError):
        raise BadConfiguration(f"{where} must be {flag.must}") from None
