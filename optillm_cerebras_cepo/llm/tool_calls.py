"""Tool calls of a streamed reply: put together from their pieces, and handed on as OpenAI's clients read them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any


class ToolCallAssembly:
    """The tool calls of one stream.

    A piece belongs to the call with its `id`. Without an id it belongs to the call that last had its `index`, and
    without either to the call that came last. Some APIs send no index, or the same one for several calls.
    """

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int, int] = {}
        self._begun: set[int] = set()  # calls of which a piece has been handed on

    def add(self, piece: Mapping[str, Any]) -> dict[str, Any]:
        """Take in one piece, and return it with its call's index; the first piece of a call has id and type."""
        place = self._place(piece)
        call = self._calls[place]
        given = piece.get("function")
        function = given if isinstance(given, Mapping) else {}
        for name in ("name", "arguments"):
            if isinstance(more := function.get(name), str):
                call["function"][name] += more
        formed = {**piece, "index": place}
        if place not in self._begun:
            self._begun.add(place)
            formed |= {"id": call["id"], "type": call["type"], "function": {"name": "", "arguments": "", **function}}
        return formed

    @property
    def whole(self) -> tuple[Mapping[str, Any], ...]:
        """All calls so far, in the order in which they began."""
        return tuple(self._calls)

    def _place(self, piece: Mapping[str, Any]) -> int:
        name, index = piece.get("id"), piece.get("index")
        name = name if isinstance(name, str) and name else None
        index = index if isinstance(index, int) and not isinstance(index, bool) else None
        if name is not None:
            place = self._by_id.get(name)
        elif index is not None:
            place = self._by_index.get(index)
        else:
            place = len(self._calls) - 1 if self._calls else None
        if place is None:
            place = len(self._calls)
            kind = piece.get("type")
            self._calls.append(
                {
                    "id": name or f"call_{uuid.uuid4().hex}",
                    "type": kind if isinstance(kind, str) and kind else "function",
                    "function": {"name": "", "arguments": ""},
                }
            )
            self._by_id[self._calls[place]["id"]] = place
        if index is not None:
            self._by_index[index] = place
        return place
