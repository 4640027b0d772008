"""`cepo-cerebras simulate`: run a simulated Cerebras API."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from optillm_cerebras_cepo.cli import CommandError
from optillm_cerebras_cepo.simulator.options import add_arguments, options_from
from optillm_cerebras_cepo.simulator.server import serve


def run(arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; print the base URL as soon as the API answers."""
    parser = argparse.ArgumentParser(prog="cepo-cerebras simulate")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, choices=range(65536), metavar="PORT", default=8099)
    add_arguments(parser)
    given = parser.parse_args(arguments)
    try:
        serve(options_from(given), given.host, given.port, lambda url: say(f"simulated Cerebras API: {url}"))
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from None
