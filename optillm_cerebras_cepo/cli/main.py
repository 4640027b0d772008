"""Entry point of `cepo-cerebras`: find the command, run it, print, exit. No other file prints or exits."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.cli import CommandError
from optillm_cerebras_cepo.core.command_line import WrongUsage
from optillm_cerebras_cepo.core.errors import BadConfiguration

# Each command is the module of this name, with `run(arguments, say)`. It is imported only when it runs.
COMMANDS = {
    "ask": "ask a question and watch it being answered, or hold a conversation",
    "serve": "run the production server: OptiLLM with this plugin, serving only the allowed approaches",
    "demo": "ask one question and watch it; a small local model answers if CEREBRAS_API_KEY is not set",
    "trace": "list the traces of requests, or show one",
    "simulate": "run a simulated Cerebras API",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command.

    Exit status: 0 on success, 1 if the command failed, 2 for wrong usage, 130 after Ctrl-C, 141 if the output
    is no longer read.
    """
    parser = argparse.ArgumentParser(
        prog="cepo-cerebras",
        usage="%(prog)s [-h] [--version] COMMAND ...",
        description="CePO for OptiLLM on the Cerebras API.",
        epilog="commands:\n" + "\n".join(f"  {name:10} {summary}" for name, summary in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="see below; COMMAND --help lists its options")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = parser.parse_args(words)
    if given.command is None:
        parser.error(f"name a command: {', '.join(COMMANDS)}")
    if given.command not in COMMANDS:
        import difflib

        close = difflib.get_close_matches(given.command, COMMANDS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the commands are {', '.join(COMMANDS)}"
        parser.error(f"unknown command {given.command!r}; {hint}")
    try:
        # The import is inside `try`: it may take a second, in which Ctrl-C must not print a traceback.
        module = import_module(f"optillm_cerebras_cepo.cli.{given.command}")
        own = words[words.index(given.command) + 1 :]  # as they are: argparse would drop a `--`
        module.run(own, partial(print, flush=True))
    except (CommandError, BadConfiguration) as error:
        print(f"cepo-cerebras: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, WrongUsage) else 1)
    except BrokenPipeError:  # what reads our output, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest at its exit
        sys.exit(141)
    except KeyboardInterrupt as stop:
        if str(stop):  # what was spent until then
            print(f"cepo-cerebras: {stop}", file=sys.stderr)
        sys.exit(130)
