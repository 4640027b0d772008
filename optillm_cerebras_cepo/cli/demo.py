"""`cepo-cerebras demo`: ask one question and show every step."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence

from optillm_cerebras_cepo.cli import CommandError
from optillm_cerebras_cepo.core.process import Parser
from optillm_cerebras_cepo.demo.child_process import DemoError
from optillm_cerebras_cepo.demo.run import DEFAULT_QUESTION, run_demo


def run(arguments: Sequence[str], say: Callable[[str], None]) -> None:
    """Run the demo. SIGTERM ends it as Ctrl-C does, so that its child processes are stopped."""
    parser = Parser("cepo-cerebras demo")
    parser.add_argument("question", nargs="?", default=DEFAULT_QUESTION)
    given = parser.parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run_demo(given.question, say, os.environ)
    except (DemoError, ValueError, OSError) as error:
        raise CommandError(str(error)) from None
