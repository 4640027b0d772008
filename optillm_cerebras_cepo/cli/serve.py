"""`cepo-cerebras serve`: run the production server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from optillm_cerebras_cepo.cli import CommandError
from optillm_cerebras_cepo.sidecar.options import options_help

EXTRA = ("waitress", "prometheus_client", "pythonjsonlogger")  # modules of the extra `sidecar`
HELP_OPTILLM = "--help-optillm"


def run(arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C, or print a help: ours, which imports nothing of OptiLLM, or OptiLLM's."""
    if {"-h", "--help"} & set(arguments):
        say(f"usage: cepo-cerebras serve [options]\n\noptions:\n{options_help()}\n")
        say(f"OptiLLM's own options, such as --host, --port and --log, are options too: {HELP_OPTILLM} shows them.")
        return
    missing = next((name for name in EXTRA if not find_spec(name)), None)
    if missing:
        raise CommandError(
            f"serve needs the package {missing}, which is not installed. In a checkout of optillm-cerebras-cepo, "
            "`sh docker/install.sh DIR` installs everything; then run `DIR/bin/cepo-cerebras serve`."
        )
    from optillm_cerebras_cepo.sidecar.serve import serve

    serve(["--help"] if HELP_OPTILLM in arguments else arguments)
