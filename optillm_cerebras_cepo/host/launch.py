"""OptiLLM's own set-up and routes for another server than its own, closed but for the approaches that are served.

OptiLLM's `main` does everything: plugins, flags, CePO's configuration, logs. It is called as it is. What it would run
at its end is caught, and of what it looks up by name, four things are ours: which plugins it finds, the client, what a
tag in a message means, and which approaches there are.
"""

from __future__ import annotations

import glob
import importlib
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.host.absent import leave_out
from optillm_cerebras_cepo.host.choice import AUTO
from optillm_cerebras_cepo.llm.tls import Tls
from optillm_cerebras_cepo.settings import load

SLUG = "cepo_cerebras"
API = "https://api.cerebras.ai"
DEFAULTS = {"--approach": ("OPTILLM_APPROACH", SLUG), "--port": ("OPTILLM_PORT", "8080")}
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True)
class Launched:
    """OptiLLM, set up: application, where to listen, the API and its TLS, a client's key by flag, the pinned models."""

    application: Wsgi
    host: str
    port: int
    base_url: str
    tls: Tls
    client_key: str
    models: tuple[str, ...]


def launch(arguments: Sequence[str], served: Collection[str], by_message: bool) -> Launched:
    """Set OptiLLM up in this process; once.

    Args:
        arguments: OptiLLM's flags. Unless told otherwise, `--approach` is ours, or the first served.
        served: the approaches that requests may choose.
        by_message: whether a tag in a message may choose one.

    Raises:
        BadConfiguration: it cannot work; the message says what to change.
        SystemExit: OptiLLM refuses its flags, or was asked for its help.

    """
    if os.environ.get("OPTILLM_API_KEY"):
        raise BadConfiguration(
            "OPTILLM_API_KEY makes OptiLLM serve a local model instead of Cerebras; unset it "
            "(clients' keys go into CEPO_CEREBRAS_CLIENT_KEY)"
        )
    if "--launch-gui" in arguments or os.environ.get("OPTILLM_LAUNCH_GUI"):
        raise BadConfiguration("--launch-gui would start OptiLLM's own server; leave it out")
    os.environ.setdefault("OPTILLM_BASE_URL", os.environ.get("CEREBRAS_BASE_URL") or API)
    leave_out(served)
    server = _imported(served)
    found = _plugins(server)
    known = {*server.known_approaches, *found.values()}
    if unknown := sorted(set(served) - known):
        raise BadConfiguration(f"OptiLLM has no approach {unknown[0]}; it has {', '.join(sorted(known))}")
    server.known_approaches[:] = [name for name in server.known_approaches if name in served]
    allowed = [path for path, slug in found.items() if slug in {SLUG, *served}]
    own = _own(arguments)
    with _arguments([*own, *arguments]), _only(server, allowed):
        listens = _run_main(server)
    if SLUG not in server.plugin_approaches:
        raise BadConfiguration("OptiLLM did not load the plugin cepo_cerebras; reinstall optillm-cerebras-cepo")
    if missing := sorted(set(served) - {*server.known_approaches, *server.plugin_approaches}):
        raise BadConfiguration(f"OptiLLM could not load {missing[0]}: a package that it needs is not installed")

    from optillm_cerebras_cepo.host import api_connection, configuration, door  # they import OptiLLM

    config = server.server_config
    config["base_url"] = api_connection.base_url()
    api_connection.check()
    if "--approach" in own and SLUG not in served:
        config["approach"] = next(iter(served))
    if config["approach"] == AUTO:  # as the model's name says, and without one there: no approach
        config["approach"] = "none"
    if config["approach"] not in served:  # OptiLLM checks the flag, but not the variable
        raise BadConfiguration(f"the server's own approach must be one that it serves: {', '.join(served)}")
    door.close(served=served, known=known, by_message=by_message)
    key, config["optillm_api_key"] = config["optillm_api_key"], ""  # checked by our server, as its own keys are
    models = load(configuration.base(), os.environ, {}).model
    tls = api_connection.tls_settings()
    return Launched(server.app, listens["host"], listens["port"], config["base_url"], tls, key, models)


def _imported(served: Collection[str]) -> ModuleType:
    try:
        return importlib.import_module("optillm.server")
    except ModuleNotFoundError as error:
        others = ", ".join(sorted(set(served) - {SLUG, "none"}))
        raise BadConfiguration(
            f"{others or 'OptiLLM'} needs the package {error.name}, which is not installed"
        ) from None


def _plugins(server: ModuleType) -> Mapping[str, str]:
    """The slug of each plugin file that OptiLLM would run, without running it."""
    folders = [Path(server.__file__ or "").parent / "plugins", Path.cwd() / "optillm" / "plugins"]
    return {str(path): _slug(path) for folder in folders for path in sorted(folder.glob("*.py"))}


def _slug(path: Path) -> str:
    told = re.search(r"""^SLUG\s*=\s*["']([^"']+)["']""", path.read_text("utf-8", "replace"), re.MULTILINE)
    return told[1] if told else path.stem.removesuffix("_plugin")


def _own(arguments: Sequence[str]) -> list[str]:
    """Our defaults for OptiLLM's flags: for those that nobody has set."""
    return [
        part
        for flag, (variable, value) in DEFAULTS.items()
        if variable not in os.environ and not any(given.split("=")[0] == flag for given in arguments)
        for part in (flag, value)
    ]


@contextmanager
def _arguments(arguments: Sequence[str]) -> Iterator[None]:
    """OptiLLM's main, and our plugin's registration in it, read the command line."""
    before, sys.argv = sys.argv, [f"{Path(sys.argv[0]).name} serve", *arguments]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _only(server: ModuleType, paths: Collection[str]) -> Iterator[None]:
    """OptiLLM's load_plugins finds its files by glob (server.py:315): let it find no other ones than these."""
    server.glob = SimpleNamespace(glob=lambda pattern: [path for path in glob.glob(pattern) if path in paths])  # type: ignore[attr-defined]
    try:
        yield
    finally:
        server.glob = glob  # type: ignore[attr-defined]


def _run_main(server: ModuleType) -> Mapping[str, Any]:
    """Run OptiLLM's main up to where it would serve; returns what it would serve with."""
    listens: dict[str, Any] = {}
    run, server.app.run = server.app.run, lambda **given: listens.update(given)
    try:
        server.main()
    finally:
        server.app.run = run
    if not listens:
        raise BadConfiguration("OptiLLM did not get as far as serving; its own words are above")
    return listens
