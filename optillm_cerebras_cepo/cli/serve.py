"""`cepo-cerebras serve`: run the production server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from optillm_cerebras_cepo.cli import CommandError

EXTRA = ("waitress", "prometheus_client", "pythonjsonlogger")  # modules of the extra `sidecar`


def run(arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. With --help, print our options; OptiLLM prints its own and exits."""
    missing = next((name for name in EXTRA if not find_spec(name)), None)
    if missing:
        raise CommandError(f"serve needs {missing}: pip install 'optillm-cerebras-cepo[sidecar]'")
    from optillm_cerebras_cepo.core.errors import BadConfiguration
    from optillm_cerebras_cepo.sidecar.options import options_help
    from optillm_cerebras_cepo.sidecar.serve import serve

    if {"-h", "--help"} & set(arguments):
        say(f"usage: cepo-cerebras serve [options]\n\noptions:\n{options_help()}\n\nOptiLLM's options:\n")
    try:
        serve(arguments)
    except BadConfiguration as error:
        raise CommandError(error.message) from None
