"""A request in a terminal, drawn with rich: a table of its calls while it runs, and its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from optillm_cerebras_cepo.ask.markup import safe, with_formulas
from optillm_cerebras_cepo.ask.updates import Reply
from optillm_cerebras_cepo.trace.live import LiveTrace
from optillm_cerebras_cepo.trace.text import dollars, kind_of, name

WIDTH = 100  # characters of a line at most
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
MARKS = {"call": "●", "failed": "✗", "cancelled": "○"}
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
MOST_MARKS = 9  # of a cell; more calls are a number
MOST_LINES = 6  # of waits and decisions, the latest


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
        body: list[RenderableType] = [title, Text(), self._table(calls)] if calls else [title]
        if lines := list(self._lines()):
            body += [Text(), *lines[-MOST_LINES:]]
        effort = self._account.get("effort", self._effort)
        model = safe(str(self._account.get("model") or next((call["model"] for call in calls), "")))
        label = " · ".join(filter(None, (effort, model, f"{self._trace.seconds:.1f} s")))
        subtitle = Text(label, "dim")
        width = min(WIDTH, options.max_width)
        yield Panel(Group(*body), border_style="dim", width=width, padding=(0, 1), subtitle=subtitle)

    def _table(self, calls: Sequence[Mapping[str, Any]]) -> Table:
        """Return a row for each candidate and a column for each step."""
        shown = {call["step"] for call in calls}
        if "plan" in shown:
            shown |= {"execute", "final"}  # they follow, so that the table does not change its width
        steps = [step for step in COLOURS if step in shown]
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
        table.add_column("")
        for step in steps:
            table.add_column(step, header_style=COLOURS[step], min_width=COLUMN)
        for candidate in sorted({call["candidate"] for call in calls}):
            own = [call for call in calls if call["candidate"] == candidate]
            cells = [self._cell([call for call in own if call["step"] == step], candidate, step) for step in steps]
            table.add_row(self._name(candidate), *cells)
        return table

    def _name(self, candidate: int) -> Text:
        if not candidate:
            return Text("question")
        text = Text(f"candidate {candidate}")
        for one in self._account.get("candidates", ()):
            if one["candidate"] == candidate and one["chosen"]:
                text.append("\n★ chosen", "bold green")
        return text

    def _cell(self, calls: Sequence[Mapping[str, Any]], candidate: int, step: str) -> Text:
        """Return the calls of a step: a mark for each, then their tokens and their time."""
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

    def _lines(self) -> Iterator[Text]:
        """Yield why calls wait, and what was decided."""
        for event in self._trace.events:
            yield Text(event["message"], "dim")
        for wait in self._trace.waiting:
            yield Text(f"{name(wait)} waits: {wait['message']}", "yellow", overflow="ellipsis", no_wrap=True)
        for field, label in (("degraded", "left out"), ("fitted", "changed")):
            for line in self._account.get(field, ()):
                yield Text(f"{label}: {safe(line)}", "yellow")


def stage(call: Mapping[str, Any]) -> RenderableType:
    """Return the reply to a call in a frame, for `--show plans`."""
    title = Text(name(call), COLOURS[call["step"]])
    return Panel(markdown(call.get("text", "")), title=title, title_align="left", border_style="dim")


def markdown(text: str) -> RenderableType:
    """Return a model's text. Links show their addresses, because what they lead to is the model's choice."""
    return Markdown(with_formulas(safe(text)), hyperlinks=False)


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
