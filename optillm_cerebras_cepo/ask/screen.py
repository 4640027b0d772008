"""A request in a terminal, drawn with rich: a table of its calls while it runs, and its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from optillm_cerebras_cepo.ask.markup import with_formulas
from optillm_cerebras_cepo.ask.updates import Reply
from optillm_cerebras_cepo.trace.live import LiveTrace
from optillm_cerebras_cepo.trace.text import dollars, kind_of, name, safe

WIDTH = 100  # characters of a line at most
NAME = 13  # characters of a candidate's name, with the space after it
COLUMN = 15  # characters of a column at least, so that it does not grow while its calls run
COLOURS = {
    "approaches": "magenta",
    "plan": "blue",
    "execute": "cyan",
    "review": "yellow",
    "final": "green",
    "direct": "green",
    "rating": "magenta",
    "repair": "white",
}
CANDIDATE_STEPS = ("plan", "execute", "review", "final", "rating")
PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
MARKS = {"call": "●", "failed": "✗", "cancelled": "○"}
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
MOST_MARKS = 9  # of a cell; more calls are a number
MOST_LINES = 8  # of decisions and waits, the latest


class Screen:
    """What is shown of one request. It is drawn anew each time that rich asks.

    Args:
        question: what was asked.
        effort: as asked for; empty for the server's own.
        trace: the request so far.

    """

    def __init__(self, question: str, effort: str, trace: LiveTrace) -> None:
        self._question = " ".join(safe(question).split())
        self._effort = effort
        self._trace = trace
        self._account: Mapping[str, Any] = {}

    def end(self, account: Mapping[str, Any]) -> None:
        """Show the request as ended, with the `cepo_cerebras` object of its reply."""
        self._account = account

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table in its frame."""
        calls = self._trace.calls
        title = Text(self._question, "bold", overflow="ellipsis", no_wrap=True)
        width = min(WIDTH, options.max_width)
        body: list[RenderableType] = [title, Text(), self._table(calls, width)] if calls else [title]
        if lines := [*list(self._decisions())[-MOST_LINES:], *self._losses()]:
            body += [Text(), *lines]
        effort = self._account.get("effort", self._effort)
        model = safe(str(self._account.get("model") or next((call["model"] for call in calls), "")))
        label = " · ".join(filter(None, (effort, model, f"{self._trace.seconds:.1f} s")))
        subtitle = Text(label, "dim")
        yield Panel(Group(*body), border_style="dim", width=width, padding=(0, 1), subtitle=subtitle)

    def _table(self, calls: Sequence[Mapping[str, Any]], width: int) -> Table:
        """Return a row for each candidate and a column for each step; in a narrow terminal with marks alone."""
        shown = {call["step"] for call in calls}
        if "plan" in shown:
            shown |= {"execute", "review", "final"}  # they follow, so that the table does not change its width
        steps = [step for step in COLOURS if step in shown]
        is_wide = width >= NAME + len(steps) * (COLUMN + 2) + 4
        title = steps if is_wide or width >= NAME + sum(len(step) + 1 for step in steps) else [one[:4] for one in steps]
        table = Table(box=None, padding=(0, 2 if is_wide else 1, 0, 0), show_edge=False)
        table.add_column("", no_wrap=True)
        for step, shown_as in zip(steps, title, strict=True):
            table.add_column(shown_as, header_style=COLOURS[step], min_width=COLUMN if is_wide else None, no_wrap=True)
        for candidate in sorted({call["candidate"] for call in calls}):
            own = [call for call in calls if call["candidate"] == candidate]
            cells = [
                self._cell([call for call in own if call["step"] == step], candidate, step, is_wide) for step in steps
            ]
            table.add_row(self._name(candidate, is_wide), *cells)
        return table

    def _name(self, candidate: int, is_wide: bool) -> Text:
        if not candidate:
            return Text("question" if is_wide else "")
        chosen = any(one["candidate"] == candidate and one["chosen"] for one in self._account.get("candidates", ()))
        if not is_wide:
            return Text(f"{candidate}{' ★' if chosen else ''}", "bold green" if chosen else "")
        return Text(f"candidate {candidate}").append("\n★ chosen" if chosen else "", "bold green")

    def _cell(self, calls: Sequence[Mapping[str, Any]], candidate: int, step: str, is_wide: bool) -> Text:
        """Return the calls of a step: a mark for each; where there is room, their tokens and their time below."""
        now, text = self._trace.seconds, Text()
        ended = [call for call in calls if "seconds" in call]
        running = len(calls) - len(ended)
        if len(calls) > MOST_MARKS:
            text.append(f"{len(ended)} of {len(calls)} ", COLOURS[step])
        else:
            for call in ended:
                kind = kind_of(call)
                text.append(MARKS[kind], "red" if kind == "failed" else COLOURS[step])
        if running:
            frame = SPINNER[int(10 * now) % len(SPINNER)]
            text.append(frame * min(running, MOST_MARKS), f"bold {COLOURS[step]}")
        rating = next((one["rating"] for one in self._rated(candidate)), None) if step == "rating" else None
        if rating is not None:
            text.append(f" {rating:g}", "bold")
        if not is_wide:
            return text
        if calls:
            tokens = sum(call.get("completion_tokens") or 0 for call in ended)
            end = now if running else max(call["started"] + call["seconds"] for call in ended)
            seconds = max(0.0, end - min(call["started"] for call in calls))
            text.append(f"\n{short(tokens)} · {seconds:.1f} s", "dim")
        waits = [wait for wait in self._trace.waiting if (wait["candidate"], wait["step"]) == (candidate, step)]
        if waits:
            left = max(wait["started"] + wait["seconds"] for wait in waits) - now
            text.append(f"\nwaits {left:.1f} s", "yellow")
        return text

    def _rated(self, candidate: int) -> Iterator[Mapping[str, Any]]:
        return (one for one in self._trace.events if one["kind"] == "rated" and one["candidate"] == candidate)

    def _decisions(self) -> Iterator[Text]:
        """Yield what was decided, and why calls wait."""
        for event in self._trace.events:
            yield Text(safe(event["message"]), "dim")
        for wait in self._trace.waiting:
            yield Text(f"{name(wait)} waits: {safe(wait['message'])}", "yellow", overflow="ellipsis", no_wrap=True)

    def _losses(self) -> Iterator[Text]:
        """Yield what was left out or changed."""
        for field, label in (("degraded", "left out"), ("fitted", "changed")):
            for line in self._account.get(field, ()):
                yield Text(f"{label}: {safe(line)}", "yellow")


def stage(call: Mapping[str, Any]) -> RenderableType:
    """Return the reply to a call in a frame, for `--show plans`."""
    title = Text(safe(name(call)), COLOURS.get(call["step"], "white"))
    return Panel(markdown(call.get("text", "")), title=title, title_align="left", border_style="dim")


def markdown(text: str) -> RenderableType:
    """Return a model's text. Tags stay text, and links and pictures show their addresses: the model chose them."""
    source = with_formulas(safe(text))
    shown = Markdown(source, hyperlinks=False)
    # rich's own parser takes tags for HTML, which it leaves out, and shows a picture without its address.
    shown.parsed = PARSER.parse(source)
    return shown


def answer(reply: Reply) -> RenderableType:
    """Return the answer and what it took."""
    return Group(Padding(markdown(reply.text or "(empty)"), (1, 2)), Text(summary(reply), "dim"))


def summary(reply: Reply) -> str:
    """Return one line: calls, tokens, seconds, dollars."""
    return spent({**reply.usage, **reply.account})


def spent(account: Mapping[str, Any]) -> str:
    """Return what a request took, as far as it is known."""
    calls, prompt, written = (account.get(name) for name in ("calls", "prompt_tokens", "completion_tokens"))
    parts = [] if calls is None else [f"{calls} call{'s' if calls != 1 else ''}"]
    if prompt is not None and written is not None:
        parts.append(f"{prompt + written:,} tokens ({prompt:,} in prompts, {written:,} in replies)")
    if "seconds" in account:
        parts.append(f"{account['seconds']:.1f} s")
    if "cost" in account:
        parts.append("cost unknown" if account["cost"] is None else dollars(account["cost"]))
    return ", ".join(parts)


def short(tokens: int) -> str:
    """Return a number of tokens in at most five characters, with its unit."""
    return f"{tokens} tok" if tokens < 1000 else f"{tokens / 1000:.1f}k tok"
