"""Adapter to OptiLLM's server: the only file that uses names of `optillm.server`; tests/host/test_pins.py pins them.

Importing this module imports OptiLLM with every approach, so `bootstrap.leave_out` comes first. What `main()` sets
is read at each use: OptiLLM loads its plugins before it has read its flags.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import glob
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import flask
import optillm.cepo.cepo
import optillm.server as server
from optillm.cepo.cepo import CepoConfig, init_cepo_config

CHAT_PATH = "/v1/chat/completions"
AUTO = "auto"  # the approach is named by the prefix of the model's name
APPROACH_FIELD = "optillm_approach"
CEPO_FIELDS = dataclasses.fields(CepoConfig)
LOG_ENTRY = "cepo_cerebras_log_entry"  # on flask.g: the id of the request's entry in the conversation log
_read_tag = server.extract_optillm_approach  # `take_over` replaces it

app: flask.Flask = server.app


@dataclasses.dataclass(frozen=True)
class ServerConfig:
    """Settings of OptiLLM's server, under the names that they have in its `server_config`."""

    approach: str
    model: str
    n: int
    base_url: str
    ssl_verify: bool
    ssl_cert_path: str
    optillm_api_key: str


def server_config() -> ServerConfig:
    """Return the current settings: OptiLLM's defaults until its `main()` has read flags and environment."""
    return ServerConfig(**{field.name: server.server_config[field.name] for field in dataclasses.fields(ServerConfig)})


def change_server_config(**values: Any) -> None:
    """Change settings of OptiLLM's server for all requests."""
    server.server_config.update(values)


def cepo_config() -> Mapping[str, Any]:
    """Return OptiLLM's CePO configuration by field; before `main()` has run, that of the default file alone."""
    config = getattr(server, "cepo_config", None) or init_cepo_config({"cepo_config_file": cepo_config_path()})
    # Its values are plain: `dataclasses.asdict` would copy each of them, for every request.
    return cast("Mapping[str, Any]", vars(config))


def cepo_config_path() -> str:
    """Return the path of the configuration file that OptiLLM reads without `--cepo_config_file`."""
    return cast(str, server.get_config_path())


# Approaches


def approaches() -> set[str]:
    """Return the names of the approaches that OptiLLM can run, including those of loaded plugins."""
    return {*server.known_approaches, *server.plugin_approaches}


def selected_approaches(body: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the operation (SINGLE, AND or OR) and the approaches that OptiLLM will run for a request body.

    The rules are those of OptiLLM's route (server.py:811, 829, 834). Of a SINGLE list, OptiLLM runs the first.
    """
    try:
        _, _, tag = server.parse_conversation(body.get("messages", []))
    except (TypeError, AttributeError, KeyError):
        tag = None  # OptiLLM cannot read these messages
    config = server_config()
    approach = tag or body.get(APPROACH_FIELD, config.approach)
    model = str(body.get("model", config.model))
    prefixed = model if approach == AUTO else f"{approach}-{model}"
    operation, names, _ = server.parse_combined_approach(prefixed, server.known_approaches, server.plugin_approaches)
    return operation, names


def tagged_approach(text: str) -> str | None:
    """Return the approach that a tag in a message's text names."""
    return cast("str | None", _read_tag(text)[1])


def without_tag(text: str) -> str:
    """Return the text as OptiLLM reads it: without its tag, where tags are read."""
    return cast(str, server.extract_optillm_approach(text)[0])


def take_over(client_factory: Callable[[], tuple[Any, str]], *, remove_tags: bool) -> None:
    """Replace the source of OptiLLM's client and key, and let no tag in a message choose an approach any more.

    With `remove_tags`, tags are still removed from the texts.
    """

    def read_tag(text: str) -> tuple[str, None]:
        return (_read_tag(text)[0] if remove_tags else text), None

    server.get_config = client_factory
    server.extract_optillm_approach = read_tag  # parse_conversation looks it up by name (server.py:657)


# Requests


def add_hooks(
    before: Callable[[], flask.Response | None],
    after: Callable[[flask.Response], flask.Response],
    *,
    first: bool = False,
) -> None:
    """Add functions that Flask calls before and after each request; adding the same ones again changes nothing.

    Args:
        before: called after OptiLLM's own check of the client's key.
        after: returns the response to send.
        first: call `before` before all other functions.

    """
    functions = app.before_request_funcs.setdefault(None, [])
    if before not in functions:
        app.after_request(after)
        functions.insert(0 if first else len(functions), before)


def single_version(path: str) -> str:
    """Return a request's path with /v1 once: clients that add it themselves are given base URLs that end with it."""
    return path.removeprefix("/v1") if path.startswith("/v1/v1/") else path


def accept_doubled_version() -> None:
    """Read a doubled /v1 in the path of every request as one; calling this again changes nothing."""
    inner = app.wsgi_app
    if hasattr(inner, "__wrapped__"):
        return

    @functools.wraps(inner)
    def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        environ["PATH_INFO"] = single_version(environ.get("PATH_INFO", ""))
        return inner(environ, start_response)

    app.wsgi_app = wsgi_app  # type: ignore[method-assign]  # as Flask's documentation wraps an application


def batches_requests() -> bool:
    """Return whether OptiLLM collects requests and runs them outside of their request contexts (`--batch-mode`)."""
    return server.request_batcher is not None


def note_log_entries() -> None:
    """Note on `flask.g` the id of each conversation log entry that OptiLLM starts: it does not tell plugins the id."""
    start = server.ConversationLogger.start_conversation
    if hasattr(start, "__wrapped__"):
        return

    @functools.wraps(start)
    def start_and_note(*args: Any, **kwargs: Any) -> str:
        entry_id: str = start(*args, **kwargs)
        if flask.has_request_context():
            setattr(flask.g, LOG_ENTRY, entry_id)
        return entry_id

    server.ConversationLogger.start_conversation = start_and_note


def log_entry() -> tuple[Any, str] | None:
    """Return OptiLLM's conversation logger and the id of the current request's entry; None without an entry."""
    log = server.conversation_logger
    entry_id = flask.g.get(LOG_ENTRY) if flask.has_request_context() else None
    return (log, entry_id) if log is not None and log.enabled and entry_id else None


# Startup


def plugin_files() -> Mapping[str, str]:
    """Return path and slug of each plugin file that OptiLLM would load, without importing it (server.py:297)."""
    folders = [Path(server.__file__ or "").parent / "plugins", Path.cwd() / "optillm" / "plugins"]
    return {str(path): _slug(path) for folder in folders for path in sorted(folder.glob("*.py"))}


def _slug(path: Path) -> str:
    found = re.search(r"""^SLUG\s*=\s*["']([^"']+)["']""", path.read_text("utf-8", "replace"), re.MULTILINE)
    return found[1] if found else path.stem.removesuffix("_plugin")


def command_line_parser(argv: list[str]) -> argparse.ArgumentParser:
    """Return the parser of OptiLLM's flags, which OptiLLM makes and uses in one function (server.py:1065).

    `argv` takes the place of `sys.argv`, whose program's name is in the help.

    Raises:
        ValueError: an `OPTILLM_` variable is not a number.

    """
    made: list[argparse.ArgumentParser] = []

    def parse_nothing(parser: argparse.ArgumentParser) -> argparse.Namespace:
        made.append(parser)
        return argparse.Namespace()

    with _replaced(sys, "argv", argv), _replaced(argparse.ArgumentParser, "parse_args", parse_nothing):
        server.parse_args()
    return made[0]


def run_main(argv: list[str], served: Collection[str], plugins: Collection[str]) -> Mapping[str, Any]:
    """Run OptiLLM's `main()` up to the point where it would serve.

    Args:
        argv: in the place of `sys.argv`, which `main()` and our `register` read.
        served: those of OptiLLM's own approaches that it keeps.
        plugins: paths of the plugin files that it loads.

    Returns:
        The arguments of `app.run`, such as host and port; empty when `main()` has returned without calling it.

    """
    listen: dict[str, Any] = {}
    server.known_approaches[:] = [name for name in server.known_approaches if name in served]
    finder = SimpleNamespace(glob=lambda pattern: [path for path in glob.glob(pattern) if path in plugins])
    # OptiLLM's load_plugins finds files with `glob.glob` (server.py:315).
    run = _replaced(app, "run", lambda **arguments: listen.update(arguments))
    with _replaced(sys, "argv", argv), _replaced(server, "glob", finder), run:
        server.main()
    return listen


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def silence_cepo() -> None:
    """Keep OptiLLM's CePO functions from printing what happens to standard output, where the caller's output is."""
    # The functions look `print` up in their own module first.
    optillm.cepo.cepo.print = lambda *_, **__: None
