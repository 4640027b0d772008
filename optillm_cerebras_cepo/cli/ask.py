"""`cepo-cerebras ask`: ask a question and watch it being answered, or hold a conversation."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rich.console import Console

from optillm_cerebras_cepo.ask.local import LocalAnswering, prepare_process
from optillm_cerebras_cepo.ask.question import check_address, check_text, image_part, question_of
from optillm_cerebras_cepo.ask.screen import Screen, spent
from optillm_cerebras_cepo.ask.server import ServerAnswering
from optillm_cerebras_cepo.ask.updates import Answering, AskError, Entries, Reply
from optillm_cerebras_cepo.ask.views import LiveView, PlainView, QuietView, View
from optillm_cerebras_cepo.cli import CommandError
from optillm_cerebras_cepo.core.command_line import Parser
from optillm_cerebras_cepo.trace.live import LiveTrace
from optillm_cerebras_cepo.trace.text import lines, safe

EFFORTS = ("none", "low", "auto", "medium", "high")
CLIENT_KEY = "CEPO_CEREBRAS_CLIENT_KEY"
STOPPED = 499  # status of a request whose client has hung up
Say = Callable[[str], None]
HELP = f"""\
/effort {"|".join(EFFORTS)}   how much work the next answers are worth
/model NAME                         which model answers
/trace                              the last request as a timeline
/new                                forget the conversation
/help                               this list
/quit                               end (so does Ctrl-D)"""


def run(arguments: Sequence[str], say: Say) -> None:
    """Answer one question, or the questions of a conversation.

    Raises:
        CommandError: there is no answer, or the question cannot be read. The exit status is then 1, or 2 for wrong
            usage. Ctrl-C and SIGTERM end with 130.

    """
    given = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        text = question_of(given)
        for path in given.image:
            image_part(path)  # a wrong one is reported before anything is asked
    except AskError as error:
        raise CommandError(str(error)) from None
    if given.server is None:
        prepare_process()
    conversation = Conversation(given, say, partial(_view, given, say))
    if text is None:
        _converse(conversation, say)
    else:
        conversation.ask(text)


def parse(arguments: Sequence[str]) -> Namespace:
    """Return the options of a command line. Raise WrongUsage if it is wrong."""
    parser = Parser("cepo-cerebras ask")
    parser.description = "Ask a question and watch it being answered; without a question, hold a conversation."
    parser.epilog = "exit status: 0 answered, 1 no answer, 2 wrong usage, 130 interrupted, 141 output closed"
    parser.add_argument("question", nargs="?", help="what to ask; `-` or a pipe: standard input")
    parser.add_argument("--file", metavar="FILE", help="file with the question, or with more of it")
    parser.add_argument("--system", metavar="TEXT", help="system prompt")
    parser.add_argument(
        "--image", metavar="FILE", action="append", default=[], help="picture to ask about; may be repeated"
    )
    parser.add_argument("--effort", choices=EFFORTS, help="how much work the answer is worth")
    parser.add_argument("--model", metavar="NAME", help="model that answers")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the model's choices, where the API has such")
    parser.add_argument("--server", metavar="URL", help="server that answers; by default this process does")
    parser.add_argument("--show", choices=["plans"], help="show the text of every step, plans and others")
    parser.add_argument("--quiet", action="store_true", help="print the answer alone")
    parser.add_argument("--json", action="store_true", help="print the reply as JSON, with its trace")
    given = parser.parse(arguments)
    if given.server is not None:
        check_address(given.server)
    return given


@dataclass
class Conversation:
    """Questions with the same options, each after the turns before it."""

    given: Namespace
    say: Say
    view: Callable[[str, LiveTrace], View]  # shows a question that is answered
    turns: list[dict[str, Any]] = field(default_factory=list)
    trace: dict[str, Any] | None = None  # of the last request

    def ask(self, question: str) -> None:
        """Ask, show the answer, and keep both for the next question.

        Raises:
            CommandError: there is no answer.
            Interrupted: the user has stopped it.

        """
        live = LiveTrace()
        try:
            reply = self._answered(question, live)
        except AskError as error:
            live.end()
            self.trace = live.finished(error.status, error.body)
            if self.given.json:
                self.say(json.dumps(error.body))
            spent_until_then = error.body.get("cepo_cerebras")
            raise CommandError(
                f"{error}{_spent(spent_until_then if isinstance(spent_until_then, dict) else {})}"
            ) from None
        self.trace = live.finished(200, {"cepo_cerebras": dict(reply.account)})
        if self.given.json:
            self.say(json.dumps({**reply.completion(), "trace": self.trace}))
        self.turns += [self._turn(question), {"role": "assistant", "content": reply.text}]

    def _answered(self, question: str, live: LiveTrace) -> Reply:
        answering: Answering | None = None
        with self.view(question, live) as view:
            try:
                answering = self._start(question)
                for update in answering.updates():
                    if isinstance(update, Entries):
                        live.add(update.entries)
                        view.show(update.entries)
                    elif isinstance(update, Reply):
                        live.end()
                        view.end(update)
                        return update
            except KeyboardInterrupt:
                account = (answering.give_up() if answering else {}) or live.spent
                live.end()
                self.trace = live.finished(STOPPED, {"cepo_cerebras": dict(account)})
                raise Interrupted(f"Stopped.{_spent(account)}") from None
            finally:
                live.end()
        raise AskError("The request ended without an answer.")

    def _start(self, question: str) -> Answering:
        given = self.given
        body: dict[str, Any] = {
            "model": given.model or "any",
            "optillm_approach": "cepo_cerebras",
            "messages": [*self._system(), *self.turns, self._turn(question)],
            "cepo_cerebras_live_trace": "replies" if given.show else "numbers",
            "cepo_cerebras_progress": False,
        }
        if given.effort:
            body["cepo_cerebras_effort"] = given.effort
        if given.model:
            body["cepo_cerebras_model"] = given.model
        if given.seed is not None:
            body["seed"] = given.seed
        if given.server is not None:
            return ServerAnswering(given.server, os.environ.get(CLIENT_KEY, ""), body)
        return LocalAnswering(body)

    def _system(self) -> list[dict[str, Any]]:
        return [{"role": "system", "content": self.given.system}] if self.given.system else []

    def _turn(self, question: str) -> dict[str, Any]:
        images = [] if self.turns else [image_part(path) for path in self.given.image]  # later turns have them already
        content: Any = [{"type": "text", "text": question}, *images] if images else question
        return {"role": "user", "content": content}

    def command(self, line: str) -> str:
        """Obey a line that begins with a slash, and return what to say. Raise EOFError if it is /quit."""
        name, _, value = line[1:].partition(" ")
        match name, value.strip():
            case "effort", effort if effort in EFFORTS:
                self.given.effort = effort
                return f"effort: {effort}"
            case "effort", effort:
                return f"/effort takes one of {', '.join(EFFORTS)}."
            case "model", model if model:
                self.given.model = model
                return f"model: {model}"
            case "model", _:
                return "/model takes the name of a model."
            case "new", "":
                self.turns.clear()
                return "The conversation begins anew."
            case "trace", "" if self.trace is not None:
                return "\n".join(lines(self.trace, shutil.get_terminal_size((120, 24)).columns))
            case "trace", "":
                return "Nothing has been asked yet."
            case "quit", "":
                raise EOFError
            case "help", "":
                return HELP
            case _:
                return f"There is no such command.\n{HELP}"


class Interrupted(KeyboardInterrupt):
    """The user has stopped the request; the message says what was spent."""


def _converse(conversation: Conversation, say: Say) -> None:
    """Ask what the user types, until the end of the input. A file gets the answers alone."""
    with suppress(ImportError):
        import readline  # noqa: F401 - lets `input` edit a line and recall earlier ones
    is_shown = sys.stdout.isatty()
    tell = say if is_shown else Console(stderr=True, highlight=False).out
    tell("Ask a question. /help lists the commands; Ctrl-D ends.")
    while _takes_a_line(conversation, tell, "> " if is_shown else ""):
        pass


def _takes_a_line(conversation: Conversation, tell: Say, prompt: str) -> bool:
    """Read a line and do what it says; return False at the end."""
    try:
        if not prompt:
            tell(">")
        line = input(prompt).strip()
        if line.startswith("/"):
            tell(conversation.command(line))
        elif line:
            check_text(line)
            conversation.ask(line)
    except EOFError:
        tell("")
        return False
    except KeyboardInterrupt as stop:  # of an answer; at the prompt it clears the line, and says nothing
        tell(str(stop))
    except (CommandError, AskError) as error:
        tell(str(error))
    return True


def _view(given: Namespace, say: Say, question: str, live: LiveTrace) -> View:
    """Return what shows the request: in a terminal a live table, where the answer goes if that is one."""
    if given.json:
        return QuietView(lambda _: None)
    if given.quiet:
        # What a terminal shows must not steer it; a file gets the answer as it is.
        return QuietView(lambda reply: say(safe(reply.text) if sys.stdout.isatty() else reply.text))
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveView(console, Screen(question, given.effort or "", live), texts=bool(given.show))
    errors = Console(stderr=True, highlight=False)
    return PlainView(errors.out, say, texts=bool(given.show))


def _spent(account: Mapping[str, Any]) -> str:
    text = spent(account)
    return f" Spent: {text}." if text else ""
