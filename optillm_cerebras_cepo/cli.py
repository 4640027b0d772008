"""The command `cepo-cerebras`: the one file that prints and exits."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from optillm_cerebras_cepo import __version__


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, do, exit: 0 when done, 1 when it failed, 2 for wrong usage, 130 for Ctrl-C."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        # Each brings what takes a while to import; inside, so that Ctrl-C in that time is Ctrl-C too.
        if given[:1] == ["serve"]:
            _serve(given[1:])
        else:
            _run(given)
    except KeyboardInterrupt:
        sys.exit(130)


def _serve(arguments: Sequence[str]) -> None:
    missing = next(
        (name for name in ("waitress", "prometheus_client", "pythonjsonlogger") if not find_spec(name)), None
    )
    if missing:
        sys.exit(f"cepo-cerebras: serve needs {missing}: pip install 'optillm-cerebras-cepo[sidecar]'")
    from optillm_cerebras_cepo.errors import BadConfiguration
    from optillm_cerebras_cepo.sidecar.options import explained
    from optillm_cerebras_cepo.sidecar.serve import serve

    if {"-h", "--help"} & set(arguments):
        _say(f"usage: cepo-cerebras serve [options]\n\noptions:\n{explained()}\n\nand those of OptiLLM:\n")
    try:
        serve(arguments)
    except BadConfiguration as error:
        sys.exit(f"cepo-cerebras: {error.message}")


def _run(arguments: Sequence[str]) -> None:
    from optillm_cerebras_cepo.demo.errors import DemoError
    from optillm_cerebras_cepo.demo.run import DEFAULT_QUESTION, run_demo
    from optillm_cerebras_cepo.simulator.options import add_arguments, options_from
    from optillm_cerebras_cepo.simulator.server import serve

    parser = argparse.ArgumentParser(prog="cepo-cerebras", description="CePO for OptiLLM on the Cerebras API.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve OptiLLM with this approach, closed but for what is allowed")
    demo = commands.add_parser("demo", help="ask one question through a real optillm; local model without a key")
    demo.add_argument("question", nargs="?", default=DEFAULT_QUESTION)
    simulate = commands.add_parser("simulate", help="serve a simulated Cerebras API")
    simulate.add_argument("--host", default="127.0.0.1")
    simulate.add_argument("--port", type=int, choices=range(65536), metavar="PORT", default=8099)
    add_arguments(simulate)
    given = parser.parse_args(arguments)
    try:
        if given.command == "demo":
            run_demo(given.question, _say, os.environ)
        else:
            serve(options_from(given), given.host, given.port, lambda url: _say(f"simulated Cerebras API: {url}"))
    except (DemoError, ValueError, OSError) as error:
        sys.exit(f"cepo-cerebras: {error}")


def _say(line: str) -> None:
    print(line, flush=True)
