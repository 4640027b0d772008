"""`cepo-cerebras simulate`: run a simulated Cerebras API."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optillm_cerebras_cepo.cli import CommandError
from optillm_cerebras_cepo.core.command_line import Parser, check_port
from optillm_cerebras_cepo.simulator.options import add_arguments, options_from
from optillm_cerebras_cepo.simulator.server import serve


def run(arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; print the base URL as soon as the API answers."""
    parser = Parser("cepo-cerebras simulate")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8099)
    add_arguments(parser)
    given = parser.parse(arguments)
    check_port(given.port)
    try:
        serve(options_from(given), given.host, given.port, lambda url: say(f"simulated Cerebras API: {url}"))
    except (ValueError, OSError) as error:
        raise CommandError(str(error)) from None
