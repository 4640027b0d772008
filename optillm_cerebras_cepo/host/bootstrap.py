"""Start of OptiLLM inside another server: its own `main()` sets it up, and only the chosen approaches are served.

Four things that `main()` and OptiLLM's routes look up by name are replaced: the plugin files, the client for each
request, what a tag in a message means, and the list of approaches.

OptiLLM imports all of its approaches at the start. In place of the modules of those that are not served it gets empty
modules: they would take a second, half of the memory at rest, and packages of tens of megabytes. And no request can run
what was not imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from optillm_cerebras_cepo.core.command_line import check_port, flags_of, refuse_unknown_arguments, wrong_usage
from optillm_cerebras_cepo.core.environment import BASE_URL, misspelt
from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.host import SLUG
from optillm_cerebras_cepo.llm.connection import TlsSettings
from optillm_cerebras_cepo.settings.loading import load

# The module of each of OptiLLM's own approaches (server.py:23).
MODULES = {
    "mcts": "optillm.mcts",
    "bon": "optillm.bon",
    "moa": "optillm.moa",
    "rto": "optillm.rto",
    "z3": "optillm.z3_solver",
    "self_consistency": "optillm.self_consistency",
    "pvg": "optillm.pvg",
    "rstar": "optillm.rstar",
    "cot_reflection": "optillm.cot_reflection",
    "plansearch": "optillm.plansearch",
    "leap": "optillm.leap",
    "re2": "optillm.reread",
    "mars": "optillm.mars",
}
# Used by other approaches only: OpenAI's client, and the library with which OptiLLM's own `cepo` compares answers.
LIBRARIES = ("openai", "math_verify")

DEFAULTS = {"--approach": ("OPTILLM_APPROACH", SLUG), "--port": ("OPTILLM_PORT", "8080")}
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def leave_out(served: Collection[str]) -> None:
    """From now on, import the modules of all approaches but the served ones as empty modules."""
    unwanted = {module for approach, module in MODULES.items() if approach not in served}
    if set(served) <= {SLUG, "none"}:
        unwanted.update(LIBRARIES)
    sys.meta_path.insert(0, _StubFinder(frozenset(unwanted - set(sys.modules))))


class _StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in self._names else None

    def exec_module(self, module: ModuleType) -> None:
        def get(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return _placeholder(name)

        module.__getattr__ = get  # type: ignore[method-assign]


def _placeholder(name: str) -> type[Exception]:
    """Return a class that can stand for any imported name: a function, a class, or an exception to catch."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(f"{name} belongs to an approach that is not served here")

    return type(name, (Exception,), {"__init__": refuse, "__doc__": "Placeholder for a name that is not imported."})


@dataclass(frozen=True)
class Launched:
    """OptiLLM, ready to serve: its WSGI application and what its flags and environment say.

    Attributes:
        client_key: the key that clients have to send, of `--optillm-api-key`; empty for none.
        models: the pinned models in order of preference.
        redis_url: the Redis in which processes share their rate limits.

    """

    application: Wsgi
    host: str
    port: int
    base_url: str
    tls: TlsSettings
    client_key: str
    models: tuple[str, ...]
    redis_url: str | None


def launch(
    arguments: Sequence[str], served: Collection[str], by_message: bool, own_flags: Collection[str] = ()
) -> Launched:
    """Set OptiLLM up in this process; call it once.

    Args:
        arguments: OptiLLM's flags. The default of `--approach` is ours, or the first served.
        served: the approaches that requests may choose.
        by_message: whether a tag in a message may choose one.
        own_flags: the caller's own flags, which it has removed: suggestions for a misspelt one.

    Raises:
        WrongUsage: a flag is unknown, or its value is.
        BadConfiguration: OptiLLM cannot be started; the message says what to change.
        SystemExit: OptiLLM was asked for its help.

    """
    if "--launch-gui" in arguments or os.environ.get("OPTILLM_LAUNCH_GUI"):
        raise BadConfiguration("--launch-gui would start OptiLLM's own server; remove it")
    leave_out(served)
    try:
        from optillm_cerebras_cepo.host import configuration, optillm, routing
    except ModuleNotFoundError as error:
        others = ", ".join(sorted(set(served) - {SLUG, "none"}))
        raise BadConfiguration(
            f"{others or 'OptiLLM'} needs the package {error.name}, which is not installed; `pip install optillm` "
            "installs all packages of OptiLLM."
        ) from None
    configuration.check_no_local_model()
    plugins = optillm.plugin_files()
    known = optillm.approaches() | set(plugins.values())
    if unknown := sorted(set(served) - known):
        raise BadConfiguration(f"OptiLLM has no approach {unknown[0]}; it has {', '.join(sorted(known))}")
    program = f"{Path(sys.argv[0]).name} serve"
    _check_flags(program, arguments, {SLUG, *served}, own_flags)
    defaults = _defaults(arguments)
    paths = [path for path, slug in plugins.items() if slug in {SLUG, *served}]
    listen = optillm.run_main([program, *defaults, *arguments], served, paths)
    if not listen:
        raise BadConfiguration("OptiLLM stopped before it would serve; see its messages above")
    if SLUG not in optillm.approaches():
        raise BadConfiguration(f"OptiLLM did not load the plugin {SLUG}; reinstall optillm-cerebras-cepo")
    if missing := sorted(set(served) - optillm.approaches()):
        raise BadConfiguration(f"OptiLLM could not load {missing[0]}: a package that it needs is not installed")

    config = optillm.server_config()
    approach = next(iter(served)) if "--approach" in defaults and SLUG not in served else config.approach
    if approach == optillm.AUTO:  # without a prefix of the model's name, it means `none`
        approach = "none"
    base_url = configuration.base_url()
    if not config.base_url and (hint := misspelt(BASE_URL, os.environ)):
        raise BadConfiguration(hint)
    configuration.check_connection()
    # Our server checks the clients' keys.
    optillm.change_server_config(base_url=base_url, approach=approach, optillm_api_key="")
    if approach not in served:  # OptiLLM checks the flag, but not the environment variable
        raise BadConfiguration(f"the server's own approach must be one that it serves: {', '.join(served)}")
    routing.restrict(served=served, known=known, by_message=by_message)
    settings = load(configuration.cepo_fields(), os.environ, {})
    return Launched(
        optillm.app,
        listen["host"],
        listen["port"],
        base_url,
        configuration.tls_settings(),
        config.optillm_api_key,
        settings.model,
        settings.redis_url,
    )


def _check_flags(
    program: str, arguments: Sequence[str], approaches: Collection[str], own_flags: Collection[str]
) -> None:
    """Raise WrongUsage if OptiLLM would refuse a flag with its whole usage. Prints OptiLLM's help if asked for."""
    from optillm_cerebras_cepo.host import optillm

    try:
        parser = optillm.command_line_parser([program, *arguments])
    except ValueError as error:  # it quotes the value
        names = [name for name in os.environ if name.startswith("OPTILLM_") and repr(os.environ[name]) in str(error)]
        raise BadConfiguration(f"{names[0] if names else 'A variable OPTILLM_…'} must be a number.") from None
    for action in parser._actions:
        if action.dest == "approach":
            action.choices = sorted(approaches)  # OptiLLM has not loaded those of plugins yet
    parser.error = wrong_usage  # type: ignore[method-assign]
    given, others = parser.parse_known_args(arguments)
    refuse_unknown_arguments(others, [*flags_of(parser), *own_flags])
    check_port(given.port, "--port (or OPTILLM_PORT)")


def _defaults(arguments: Sequence[str]) -> list[str]:
    """Return our defaults for OptiLLM's flags that neither the arguments nor the environment set."""
    given = {argument.split("=")[0] for argument in arguments}
    return [
        part
        for flag, (variable, value) in DEFAULTS.items()
        if variable not in os.environ and flag not in given
        for part in (flag, value)
    ]
