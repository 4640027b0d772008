"""Draw the screen of `make run`, of a real run with the local model, as docs/make-run.svg (`make picture`)."""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from optillm_cerebras_cepo.ask.screen import Screen, answer
from optillm_cerebras_cepo.ask.updates import Reply
from optillm_cerebras_cepo.ask.views import View
from optillm_cerebras_cepo.cli import ask, demo
from optillm_cerebras_cepo.trace.live import LiveTrace

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "docs" / "make-run.svg"
WIDTH = 92  # characters of a line
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)  # a picture fetches no fonts


class Recorded(View):
    """View that draws the request once, when it has ended."""

    def __init__(self, console: Console, screen: Screen) -> None:
        self._console = console
        self._screen = screen

    def end(self, reply: Reply) -> None:
        """Draw the table and the answer."""
        self._screen.end(reply.account)
        self._console.print(self._screen)
        self._console.print(answer(reply))


def main() -> None:
    """Run the demo and write its screen."""
    os.environ.pop("CEREBRAS_API_KEY", None)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")

    def say(line: str) -> None:
        console.print(Text(line))

    def view(question: str, live: LiveTrace) -> Recorded:
        return Recorded(console, Screen(question, "", live))

    sys.argv[0] = "cepo-cerebras"
    console.print(Text.assemble(("$ ", "dim"), ("make run", "bold")))
    with demo.model(say, os.environ):
        given = ask.parse([demo.DEFAULT_QUESTION, "--seed", demo.SEED])
        ask.Conversation(given, say, view).ask(demo.DEFAULT_QUESTION)
    say("")
    for line in demo.next_steps():
        say(line)
    TARGET.write_text(console.export_svg(title="make run", code_format=FORMAT, unique_id="run"))
    print(f"written: {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
