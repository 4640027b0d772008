"""A reply as server-sent events, as OpenAI's clients read them: progress while it is worked on, then the answer."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from optillm_cerebras_cepo.cepo.outcome import Answer
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.events import Agreed, Called, Rated, Waits
from optillm_cerebras_cepo.host import progress, reply
from optillm_cerebras_cepo.host.hangup import POLL
from optillm_cerebras_cepo.host.work import News, Piece, Work, defect
from optillm_cerebras_cepo.parameters import Parameters
from optillm_cerebras_cepo.runtime import Solved

HEARTBEAT = 5.0  # seconds of silence after which a comment is sent: proxies close what says nothing
PIECE = 200  # characters of an answer that is sent at once
THOUGHT = "<think>"


def events(
    work: Work, model: str, parameters: Parameters, show_progress: bool, hung_up: Callable[[], bool]
) -> Iterator[str]:
    """The stream, as far as somebody reads it."""
    try:
        yield from _told(work, _Chunks(model, parameters), parameters.n, show_progress, hung_up)
    except (GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # the server would log its message, which may quote the request
        work.give_up()
        yield _event(defect(error).body())


def _told(work: Work, chunks: _Chunks, answers: int, show_progress: bool, hung_up: Callable[[], bool]) -> Iterator[str]:
    for index in range(answers):
        yield chunks.delta(index, role="assistant", content="")
    sent = time.monotonic()
    for news in work.news(POLL):
        if hung_up():
            return
        for event in chunks.of(news, show_progress):
            sent = time.monotonic()
            yield event
        if time.monotonic() - sent >= HEARTBEAT:
            sent = time.monotonic()
            yield ": working\n\n"


class _Chunks:
    """The chunks of one stream: the same id, and what of the answer has been sent."""

    def __init__(self, model: str, parameters: Parameters) -> None:
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._parameters = parameters
        self._sent = False
        self._held = ""  # the beginning of a text, until it is known not to be a thought

    def delta(self, index: int, **delta: Any) -> str:
        """A chunk that adds to the message of one choice."""
        return self._chunk([{"index": index, "delta": delta, "finish_reason": None}])

    def of(self, news: News, show_progress: bool) -> Iterator[str]:
        """What a piece of news is to the client."""
        match news:
            case Piece():
                yield from self._piece(news.delta)
            case Solved():
                yield from self._rest(news)
            case CepoError():
                yield _event(news.body())
            case Called() | Waits() | Agreed() | Rated() if show_progress and not self._sent:  # clients show it above
                yield self.delta(0, reasoning_content=progress.line(news) + "\n")

    def _piece(self, delta: Mapping[str, Any]) -> Iterator[str]:
        """The model's own tokens, as they are made."""
        if "reasoning" in delta:
            yield self.delta(0, reasoning_content=delta["reasoning"])
        if "tool_calls" in delta:
            self._sent = True
            yield self.delta(0, tool_calls=delta["tool_calls"])
        if text := self._spoken(delta.get("content", "")):
            self._sent = True
            yield self.delta(0, content=text)

    def _rest(self, solved: Solved) -> Iterator[str]:
        """What has not been sent of the answers, why they end, and what they took."""
        self._head["model"] = solved.model
        for index, answer in enumerate(solved.outcome.answers):
            if not self._sent:
                yield from self._whole(index, answer)
            end = {"index": index, "delta": {}, "finish_reason": answer.finish_reason}
            last = index == len(solved.outcome.answers) - 1
            yield self._chunk([end], **({"cepo_cerebras": reply.account(solved)} if last else {}))
        if self._parameters.include_usage:
            yield self._chunk([], usage=reply.usage(solved))
        yield "data: [DONE]\n\n"

    def _whole(self, index: int, answer: Answer) -> Iterator[str]:
        if answer.reasoning:
            yield self.delta(index, reasoning_content=answer.reasoning)
        for start in range(0, len(answer.text), PIECE):
            yield self.delta(index, content=answer.text[start : start + PIECE])
        if answer.tool_calls:
            yield self.delta(index, tool_calls=[{"index": at, **call} for at, call in enumerate(answer.tool_calls)])

    def _spoken(self, text: str) -> str:
        """The text without a thought at its beginning, which is no part of the answer.

        A thought is known by its opening tag. Where a model writes the closing tag alone, a stream has sent the thought
        before it comes; only the whole reply can be read without it.
        """
        if self._sent:
            return text
        self._held += text
        held = self._held.lstrip()
        if THOUGHT.startswith(held[: len(THOUGHT)]):
            _, _, held = held.partition("</think>")  # nothing is left while it goes on
        return held.lstrip() if held.strip() else ""

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> str:
        empty = {"usage": None} if self._parameters.include_usage else {}
        return _event({**self._head, "choices": choices, **empty, **more})


def _event(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
