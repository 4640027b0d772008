"""A trace as lines for a terminal: its result, and a bar for each call and wait."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from optillm_cerebras_cepo.trace.tree import candidates_of

BAR = 48  # characters of the timeline
LABEL = 24  # characters of a line before its bar
DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
MARKS = {"call": "█", "failed": "▒", "cancelled": "·", "wait": "░"}
CANCELLED = ("superseded", "ended")  # calls that were given up, and did not fail


def safe(text: str) -> str:
    """Return the text without characters that steer a terminal or change the direction of other text."""
    return "".join(char for char in text.replace("\r\n", "\n") if char in "\n\t" or not _steers(char))


def _steers(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs") or unicodedata.bidirectional(char) in DIRECTIONS


def end_of(entry: Mapping[str, Any]) -> float:
    """Return when a call or a wait ended, in seconds."""
    return float(entry["started"] + entry["seconds"])


def summary(trace: Mapping[str, Any]) -> str:
    """Return one line: id, time, effort, status, seconds, calls, tokens, dollars."""
    ours = trace.get("cepo_cerebras", {})
    started = str(trace["started"])[:19].replace("T", " ")
    calls = ours.get("calls", 0)
    return (
        f"{trace['id']}  {started}  {ours.get('effort', '-'):7} {trace['status']}  {trace['seconds']:7.1f} s"
        f"  {calls:3} call{' ' if calls == 1 else 's'}  {_tokens(ours):>9} tokens  {dollars(ours.get('cost'))}"
    )


def lines(trace: Mapping[str, Any], width: int = LABEL + BAR + 40) -> Iterator[str]:
    """Yield the lines of a whole trace, without its head; bars are shorter where a line has fewer characters."""
    bar = max(10, min(BAR, width - LABEL - 32))
    ours = trace.get("cepo_cerebras", {})
    if error := trace.get("error"):
        yield f"failed: {safe(error['message'])}"
    yield from decisions(trace)
    yield from map(str, candidates_of(trace))
    yield ""
    whole = max(trace["seconds"], 0.001)
    yield f"{'':{LABEL}} 0 s{f'{whole:.1f} s':>{bar - 3}}"
    entries = [(call, kind_of(call)) for call in trace["calls"]]
    entries += [(wait, "wait") for wait in trace["waits"]]
    for entry, kind in sorted(entries, key=lambda pair: (pair[0]["candidate"], pair[0]["started"])):
        yield f"{name(entry):{LABEL}} {_bar(entry, whole, MARKS[kind], bar)} {safe(what(entry, kind))}"
    for field in ("degraded", "fitted"):
        for line in ours.get(field, ()):
            yield f"{field}: {safe(line)}"


def dollars(cost: float | None) -> str:
    """Return a cost with as many digits as it needs; a question mark if it is unknown."""
    if cost is None:
        return "$?"
    if 0 < cost < 0.0001:
        return "<$0.0001"
    return f"${cost:.2f}" if cost >= 1 or not cost else f"${cost:.4f}"


def _tokens(ours: Mapping[str, Any]) -> str:
    return f"{ours.get('prompt_tokens', 0) + ours.get('completion_tokens', 0):,}"


def decisions(trace: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was compared, rated and called twice, a line each."""
    yield from (safe(event["message"]) for event in trace["events"])


def kind_of(call: Mapping[str, Any]) -> str:
    """Return whether a call was answered (`call`), `failed`, or was `cancelled`."""
    if "error" not in call:
        return "call"
    return "cancelled" if call["error"] in CANCELLED else "failed"


def name(entry: Mapping[str, Any]) -> str:
    """Return what a call or a wait belongs to: its candidate and step."""
    return f"candidate {entry['candidate']} {entry['step']}" if entry["candidate"] else str(entry["step"])


def _bar(entry: Mapping[str, Any], whole: float, mark: str, bar: int) -> str:
    """Return the entry's time as a bar within the whole request, which has so many characters."""
    first = min(bar - 1, int(bar * float(entry["started"]) / whole))
    last = min(bar, max(first + 1, round(bar * end_of(entry) / whole)))
    return " " * first + mark * (last - first) + " " * (bar - last)


def what(entry: Mapping[str, Any], kind: str) -> str:
    """Return what came of a call of this kind, or of a `wait`."""
    if kind == "call":
        tokens = entry["completion_tokens"]
        cut = ", cut at its token limit" if entry["finish_reason"] == "length" else ""
        return f"{entry['seconds']:.1f} s, {'?' if tokens is None else tokens} tokens{cut}"
    return f"{entry['seconds']:.1f} s, {'waits' if kind == 'wait' else kind}: {entry['message']}"
