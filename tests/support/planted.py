"""Recognisable secrets, and finding them again: whatever a text is a part or an encoding of, the mark stands in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

MARK = re.compile(r"planted[-_]([a-z]+)", re.IGNORECASE)


def planted(kind: str, words: str = "") -> str:
    """A text that tells its kind wherever it is cut: the mark stands at its beginning, in its middle and at its end."""
    return f"planted-{kind} {words} planted-{kind}".replace("  ", " ")


KEY = "csk-planted-key-0123456789"
BEARER = "planted-bearer-0123456789"
SYSTEM = planted("system", "be exact")
EARLIER = planted("earlier", "what is 2 times 3?")
PREVIOUS = planted("previous", "it is 6")
USER = planted("user", "and what is 6 times 7?")
REPLY = planted("reply", "it is 42")

MESSAGES = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": EARLIER},
    {"role": "assistant", "content": PREVIOUS},
    {"role": "user", "content": USER},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "planted_toolname",
            "description": planted("tool"),
            "parameters": {"type": "object", "properties": {"planted_argument": {"type": "string"}}},
        },
    }
]
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "planted_schema",
        "schema": {"type": "object", "description": planted("schema"), "required": ["n"]},
    },
}
BODY: dict[str, Any] = {"model": "any", "messages": MESSAGES, "stop": [planted("stop")], "user": planted("enduser")}
QUOTE = f"input_value='{SYSTEM} {USER}' for key {KEY}"
"""What an API may say of a request that it refuses."""


def kinds(text: str) -> set[str]:
    """Which secrets stand in a text."""
    return {kind.lower() for kind in MARK.findall(text)}


@dataclass
class Heard(logging.Handler):
    """Every record of every logger, at every level, as it would be written: with its trace."""

    lines: list[tuple[str, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.setFormatter(logging.Formatter("%(threadName)s %(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append((record.name, record.levelno, self.format(record)))

    @property
    def ours(self) -> str:
        """All but what OptiLLM's server says by itself at DEBUG: it prints bodies and bearers, before we are asked."""
        return "\n".join(line for name, level, line in self.lines if name != "optillm.server" or level > logging.DEBUG)

    __hash__ = object.__hash__


@contextmanager
def hearing() -> Iterator[Heard]:
    """Listen at the root, alone, while every logger speaks at DEBUG."""
    root, heard = logging.getLogger(), Heard()
    levels = {root: root.level}
    for logger in [*logging.root.manager.loggerDict.values()]:
        if isinstance(logger, logging.Logger):
            levels[logger] = logger.level
            logger.setLevel(logging.NOTSET)
    root.setLevel(logging.DEBUG)
    handlers, root.handlers = root.handlers, [heard]
    try:
        yield heard
    finally:
        root.handlers = handlers
        for logger, level in levels.items():
            logger.setLevel(level)


def without_answer(body: Mapping[str, Any]) -> dict[str, Any]:
    """A chat.completion, or a chunk of one, without the text that the client has asked for."""
    choices = []
    for choice in body.get("choices", []):
        rest = dict(choice)
        for name in ("message", "delta"):
            if name in rest:
                rest[name] = {key: value for key, value in rest[name].items() if key not in ("content", "tool_calls")}
        choices.append(rest)
    return {**body, "choices": choices}
