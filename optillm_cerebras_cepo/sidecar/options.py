"""The sidecar's own options, and the API keys in environment variables or files (Docker secrets).

All other flags are OptiLLM's. This file is imported before OptiLLM, and must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from optillm_cerebras_cepo.core.command_line import Parser, WrongUsage
from optillm_cerebras_cepo.core.environment import API_KEY, TRACE_DIR
from optillm_cerebras_cepo.core.errors import BadConfiguration

PREFIX = "CEPO_CEREBRAS_"

CEREBRAS_KEY = API_KEY
CLIENT_KEY = "CEPO_CEREBRAS_CLIENT_KEY"


@dataclass(frozen=True)
class Options:
    """Options of one sidecar. FLAGS describes them."""

    approaches: tuple[str, ...] = ("cepo_cerebras", "none")
    choose_by_message: bool = False
    max_requests: int = 32
    max_queue: int = 64
    max_body: float = 16.0
    grace: float = 25.0
    trace_dir: str = ""
    page: bool = False


class _Flag(NamedTuple):
    parse: Callable[[str], Any]  # raises ValueError or KeyError
    requirement: str
    help: str


def _names(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, map(str.strip, text.split(","))))
    if not names:
        raise ValueError
    return names


def _switch(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = kind(text)
        if not low <= number <= high:  # NaN is not
            raise ValueError
        return number

    return parse


FLAGS = {
    "approaches": _Flag(_names, "names of approaches, separated by commas", "approaches that requests may choose"),
    "choose_by_message": _Flag(
        _switch, "true or false", "let an `<optillm_approach>` tag in a message select the approach"
    ),
    "max_requests": _Flag(_number(int, 1, 9999), "a number from 1 to 9999", "chat requests that run at once"),
    "max_queue": _Flag(
        _number(int, 0, 9999), "a number from 0 to 9999", "chat requests that may wait in addition; more get 503"
    ),
    # The plugin itself refuses bodies above 16 MiB.
    "max_body": _Flag(_number(float, 2**-20, 16), "a number of MiB, at most 16", "size limit of a request body in MiB"),
    "grace": _Flag(_number(float, 0, 999_999), "a number of seconds", "seconds for running requests after SIGTERM"),
    "trace_dir": _Flag(str, "a folder", "folder to which the trace of each request is written"),
    "page": _Flag(_switch, "true or false", "serve a page at `/` to ask from a browser and watch requests"),
}


def options_from(arguments: Sequence[str], environ: MutableMapping[str, str]) -> tuple[Options, list[str]]:
    """Return our options, flags before variables, and the remaining flags, which are OptiLLM's.

    Our variables are removed from the environment: the remaining ones with our prefix are settings of requests.

    Raises:
        BadConfiguration: a value is invalid or missing; the message names the flag or the variable.

    """
    parser = Parser("cepo-cerebras serve", add_help=False)
    for name, flag in FLAGS.items():
        # A switch needs no value on the command line.
        nargs: dict[str, Any] = {"nargs": "?", "const": "true"} if flag.parse is _switch else {}
        parser.add_argument(flag_name(name), dest=name, **nargs)
    given, others = parser.parse_known_args(arguments)
    values: dict[str, Any] = {}
    for name, flag in FLAGS.items():
        variable = PREFIX + name.upper()
        from_environ, from_flag = environ.pop(variable, None), getattr(given, name)
        text, source = (from_environ, variable) if from_flag is None else (from_flag, flag_name(name))
        if text is not None:
            try:
                values[name] = flag.parse(text)
            except (ValueError, KeyError):
                wrong = BadConfiguration if from_flag is None else WrongUsage
                raise wrong(f"{source} must be {flag.requirement}.") from None
    options = Options(**values)
    if options.trace_dir:
        environ[TRACE_DIR] = options.trace_dir
    return options, others


def flag_name(name: str) -> str:
    """Return an option's name on the command line."""
    return "--" + name.replace("_", "-")


def options_help() -> str:
    """Return the help: a line for each option, with its default."""
    defaults = {field.name: field.default for field in fields(Options)}
    shown = {
        name: ",".join(value) if isinstance(value, tuple) else str(value).lower() or "none"
        for name, value in defaults.items()
    }
    return "\n".join(f"  {flag_name(name):20} {flag.help} (default: {shown[name]})" for name, flag in FLAGS.items())


def load_cerebras_key(environ: MutableMapping[str, str]) -> None:
    """Set CEREBRAS_API_KEY from CEREBRAS_API_KEY_FILE, if given. Without a key the server starts, but is not ready.

    Raise BadConfiguration if the file cannot be read, both variables are set, or the value cannot be a key.
    """
    text = _take_secret(CEREBRAS_KEY, environ)
    if text is None:
        return
    if not re.fullmatch(r"[!-~]*", key := text.strip()):  # the SDK's error would quote it
        raise BadConfiguration(f"{CEREBRAS_KEY} contains a character that a key cannot contain, such as a space.")
    environ[CEREBRAS_KEY] = key


def take_client_keys(environ: MutableMapping[str, str]) -> tuple[str, ...]:
    """Remove the clients' keys from the environment and return them. Without any, every client is served.

    Raise BadConfiguration if the file cannot be read, both variables are set, or the value contains no valid key.
    """
    text = _take_secret(CLIENT_KEY, environ)
    environ.pop(CLIENT_KEY, None)
    if text is None:
        return ()
    keys = tuple(key for key in re.split(r"[,\s]+", text) if key)
    if not keys:  # an empty secret is a mistake, and must not open the server to everybody
        raise BadConfiguration(f"{CLIENT_KEY} contains no key; unset it to serve clients without a key.")
    for key in keys:
        check_client_key(key, CLIENT_KEY)
    return keys


def check_client_key(key: str, name: str) -> None:
    """Raise BadConfiguration, with the name of the setting, if no client could send this key in a header."""
    if not re.fullmatch(r"[!-~]+", key):
        raise BadConfiguration(f"{name} contains a character that no client can send in a header.")


def _take_secret(name: str, environ: MutableMapping[str, str]) -> str | None:
    """Return the value of a variable, or the text of the file that its `_FILE` variable names."""
    path, text = environ.pop(f"{name}_FILE", None), environ.get(name)
    if not path:
        return text
    if text:
        raise BadConfiguration(f"{name} and {name}_FILE are both set; remove one.")
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise BadConfiguration(f"{name}_FILE cannot be read: {reason}.") from None
