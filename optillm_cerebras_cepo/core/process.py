"""What a process is started with: its command line and its environment variables.

A wrong flag, and a variable with a wrong name, is reported in one line with the nearest name.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

from optillm_cerebras_cepo.core.errors import BadConfiguration

PORTS = range(65536)  # 0 is any free port

# Variables of the connection to the API.
API_KEY = "CEREBRAS_API_KEY"
BASE_URL = "CEREBRAS_BASE_URL"

# Each name that is read, with names that other libraries use for the same.
NAMES = {
    API_KEY: ("CEREBRAS_API_TOKEN", "CEREBRAS_KEY", "CEREBRAS_TOKEN"),
    f"{API_KEY}_FILE": (),
    BASE_URL: ("CEREBRAS_API_BASE", "CEREBRAS_API_URL", "CEREBRAS_ENDPOINT", "CEREBRAS_URL"),
}
SIMILARITY = 0.85  # of two names, as difflib measures it: CEREBRAS_MODEL is below it

# What the system, the loader of libraries and Python itself read. No credentials are kept under any of these names.
ALLOWED = re.compile(
    r"PATH|HOME|LANG|LANGUAGE|LC_[A-Z_]+|TZ|TMPDIR|TEMP|TMP"
    r"|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|DYLD_FALLBACK_LIBRARY_PATH|SYSTEMROOT|WINDIR"
    r"|PYTHONHOME|PYTHONPLATLIBDIR|PYTHONDONTWRITEBYTECODE|PYTHONPYCACHEPREFIX"
)


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
        raise WrongUsage("Unrecognized arguments: a value without a flag.")


def check_port(port: int, name: str = "--port") -> None:
    """Raise WrongUsage if this is no port's number; `name` says where it comes from."""
    if port not in PORTS:
        raise WrongUsage(f"{name} must be a number from 0 to 65535; 0 is any free port.")


def misspelt(name: str, environ: Mapping[str, str]) -> str | None:
    """Return a message if this variable is not set, but one with a similar name is; otherwise None."""
    if environ.get(name):
        return None
    spellings = {spelling: right for right, others in NAMES.items() for spelling in (right, *others)}
    for given in sorted(environ):
        if given in NAMES or given.startswith("CEPO_") or not environ[given]:  # CEPO_…: settings have their own check
            continue
        close = difflib.get_close_matches(given.upper(), spellings, n=1, cutoff=SIMILARITY)
        if close and spellings[close[0]] == name:
            return f"{name} is not set; {given} is: rename it."
    return None


def child_environment(environ: Mapping[str, str], path: Iterable[str]) -> dict[str, str]:
    """Return the variables for a Python process with the same modules as this one.

    Args:
        environ: this process's.
        path: its `sys.path`.

    """
    needed = {name: value for name, value in environ.items() if ALLOWED.fullmatch(name.upper())}
    return needed | {"PYTHONPATH": os.pathsep.join(part for part in path if part), "PYTHONUTF8": "1"}
