"""A trace as one page of HTML that needs nothing else: timeline, candidates, tokens and cost by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from optillm_cerebras_cepo.trace.text import decisions, dollars, end_of, kind_of, name, what
from optillm_cerebras_cepo.trace.tree import candidates_of

SLACK = 0.002  # seconds by which a call may begin before the one that it waited for is recorded as finished


def page(trace: Mapping[str, Any]) -> str:
    """Return the page. Texts of clients and models are escaped by the template."""
    import jinja2  # a requirement of Flask; 30 ms, which only this page needs

    environment = jinja2.Environment(autoescape=True, trim_blocks=True)
    template = environment.from_string(resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    ours = trace.get("cepo_cerebras", {})
    return template.render(
        trace=trace,
        ours=ours,
        error=trace.get("error"),
        decisions=list(decisions(trace)),
        groups=_groups(trace),
        tree=list(candidates_of(trace)),
        cost=dollars(ours.get("cost")),
        dollars=dollars,
        steps=ours.get("usage", {}),
    )


def critical_path(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the calls and waits that the duration depends on, the first one first.

    It ends with the one that ended last. Before each comes the one that ended last before it began, of its own
    candidate or of none; before a rating or a call of no candidate, that of any.
    """
    path: list[Mapping[str, Any]] = []
    before = [entry for entry in entries if entry.get("error") != "superseded"]
    while before:
        path.append(max(before, key=end_of))
        last = path[-1]
        related = {last["candidate"], 0} if last["candidate"] and last["step"] != "rating" else None
        before = [
            entry
            for entry in before
            if entry is not last
            and end_of(entry) <= last["started"] + SLACK
            and (related is None or entry["candidate"] in related)
        ]
    return path[::-1]


def _groups(trace: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the timeline, by candidate."""
    critical = {id(entry) for entry in critical_path([*trace["calls"], *trace["waits"]])}
    whole = max(trace["seconds"], 0.001)
    rows: dict[int, list[dict[str, Any]]] = {}
    for kind, entries in (("call", trace["calls"]), ("wait", trace["waits"])):
        for entry in entries:
            shown = kind_of(entry) if kind == "call" else kind
            rows.setdefault(entry["candidate"], []).append(
                {
                    "kind": shown,
                    "name": name(entry),
                    "step": entry["step"],
                    "critical": id(entry) in critical,
                    "left": round(min(99.7, 100 * entry["started"] / whole), 2),
                    "width": round(max(0.3, min(100 * entry["seconds"] / whole, 100)), 2),
                    "what": what(entry, shown),
                    "started": entry["started"],
                    "entry": entry,
                }
            )
    rated = {one["candidate"]: one for one in trace.get("cepo_cerebras", {}).get("candidates", ())}
    return [
        {
            "candidate": candidate,
            "result": rated.get(candidate),
            "rows": sorted(rows[candidate], key=lambda row: row["started"]),
        }
        for candidate in sorted(rows)
    ]
