"""Command lines: a wrong one is reported in one line, with the nearest flag."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Sequence
from typing import NoReturn

from optillm_cerebras_cepo.core.errors import BadConfiguration

PORTS = range(65536)  # 0 is any free port


class WrongUsage(BadConfiguration):
    """A command line is wrong. The exit status of the command is 2."""


class Parser(argparse.ArgumentParser):
    """Parser that raises WrongUsage instead of printing its usage and exiting. No flag can be abbreviated."""

    def __init__(self, prog: str, add_help: bool = True) -> None:
        super().__init__(prog=prog, allow_abbrev=False, add_help=add_help)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse a whole command line. Raise WrongUsage if it is wrong."""
        given, others = self.parse_known_args(arguments)
        refuse_unknown_arguments(others, flags_of(self))
        return given

    def error(self, message: str) -> NoReturn:
        """Raise WrongUsage."""
        wrong_usage(message)


def wrong_usage(message: str) -> NoReturn:
    """Raise WrongUsage with argparse's message as a sentence."""
    raise WrongUsage(f"{message[:1].upper()}{message[1:]}.")


def flags_of(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """Return all flags of a parser."""
    return tuple(flag for action in parser._actions for flag in action.option_strings)


def refuse_unknown_arguments(arguments: Sequence[str], known: Iterable[str]) -> None:
    """Raise WrongUsage if any arguments are left over. Only flags are quoted: another argument may be a key."""
    flags = [argument.partition("=")[0] for argument in arguments if argument.startswith("-")]
    if flags:
        close = difflib.get_close_matches(flags[0], list(known), n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise WrongUsage(f"Unrecognized arguments: {' '.join(flags)}{hint}")
    if arguments:
        raise WrongUsage("Unrecognized arguments: a value without a flag; put a text with spaces in quotes.")


def check_port(port: int, name: str = "--port") -> None:
    """Raise WrongUsage if this is no port's number; `name` says where it comes from."""
    if port not in PORTS:
        raise WrongUsage(f"{name} must be a number from 0 to 65535; 0 is any free port.")
