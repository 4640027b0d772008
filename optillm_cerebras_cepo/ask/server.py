"""A request that a server answers: `cepo-cerebras serve`, or OptiLLM with this plugin.

What another server sends is checked before it is used: the address may be wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from optillm_cerebras_cepo.ask.updates import AskError, Entries, Reply, Tick, Update

CONNECT_SECONDS = 10.0  # time-out; the server's own deadline limits the rest
IDLE_SECONDS = 60.0  # time-out; a working server sends something every five seconds
MOST_BYTES = 16 * 2**20  # of a line, and of an error
NOT_OURS = (
    "This is no stream of cepo_cerebras; does the address lead to `cepo-cerebras serve`, or OptiLLM with the plugin?"
)


class ServerAnswering:
    """A request to a server, sent when its updates are read.

    Args:
        url: of the server, with or without `/v1`.
        key: the client's key; empty for none.
        body: the request's fields.

    Raises:
        AskError: no header can contain the key.

    """

    def __init__(self, url: str, key: str, body: Mapping[str, Any]) -> None:
        self._url = f"{url.rstrip('/').removesuffix('/v1')}/v1/chat/completions"
        self._shown = re.sub(r"//[^/@]*@", "//", self._url)  # without a password
        if not re.fullmatch("[!-~]*", key):
            raise AskError("The client key contains a character that no key has, such as a space.")
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        self._response: httpx.Response | None = None

    def updates(self) -> Iterator[Update]:
        """Yield what happens, up to the Reply. Raise AskError if there is no answer."""
        timeout = httpx.Timeout(IDLE_SECONDS, connect=CONNECT_SECONDS)
        try:
            with (
                httpx.Client(timeout=timeout) as client,
                client.stream("POST", self._url, json=self._body, headers=self._headers) as response,
            ):
                self._response = response
                yield from self._read(response)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise AskError(f"No server answers at {self._shown}; start one with `cepo-cerebras serve`.") from None
        except httpx.HTTPError as error:
            raise AskError(f"The connection to {self._shown} broke ({type(error).__name__}); ask again.") from None

    def give_up(self) -> Mapping[str, Any]:
        """Hang up, which makes the server give up its calls. It cannot say any more what it has spent."""
        if self._response is not None:
            self._response.close()
        return {}

    def _read(self, response: httpx.Response) -> Iterator[Update]:
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        if response.status_code != 200 or not is_stream:
            raise _failure(response.status_code, b"".join(_limited(response.iter_bytes())))
        stream = _Stream()
        for line in _lines(response.iter_bytes()):
            if not line.startswith(b"data:"):
                yield Tick()
                continue
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                yield stream.reply()
                return
            yield stream.read(data)
        raise AskError("The server ended its reply before the answer; its log says why.", response.status_code)


class _Open(BaseModel):
    """A part of a chunk; fields that are not named here are kept as they are."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Entry(_Open):
    step: str = ""
    candidate: int = 0
    number: int = 0
    started: float = 0.0
    seconds: float | None = None
    model: str = ""
    kind: str = ""
    message: str = ""
    text: str = ""
    error: str | None = None
    rating: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None

    def complete(self) -> dict[str, Any]:
        """Return the entry with all fields that a view needs; a call without `seconds` is running."""
        given = self.model_dump(exclude_unset=True)
        if given.get("seconds") is None:
            given.pop("seconds", None)
        if given.get("error") is None:
            given.pop("error", None)
        needed = ("step", "candidate", "number", "started", "model", "kind", "message", "rating")
        return {**{name: getattr(self, name) for name in needed}, **given}


class _Chosen(_Open):
    candidate: int
    chosen: bool = False


class _Account(_Open):
    trace: dict[str, _Entry] | None = None
    effort: str = ""
    model: str = ""
    calls: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    cost: float | None = None
    candidates: list[_Chosen] = []
    degraded: list[str] = []
    fitted: list[str] = []


class _Delta(_Open):
    content: str | None = None


class _Choice(_Open):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(_Open):
    choices: list[_Choice] = []
    model: str | None = None
    usage: dict[str, Any] | None = None
    cepo_cerebras: _Account | None = None
    error: Any = None


class _Stream:
    """What the chunks of a stream add up to."""

    def __init__(self) -> None:
        self._text = ""
        self._finish_reason = ""
        self._model = ""
        self._usage: Mapping[str, Any] = {}
        self._account: Mapping[str, Any] = {}

    def read(self, data: bytes) -> Update:
        """Add a chunk. Raise AskError if it is an error, or no chunk."""
        try:
            chunk = _Chunk.model_validate_json(data)
        except ValidationError:
            raise AskError(NOT_OURS) from None
        if chunk.error is not None:
            raise _failure(200, data)
        ours = chunk.cepo_cerebras
        if ours and ours.trace is not None:
            return Entries({name: entry.complete() for name, entry in ours.trace.items()})
        if ours:
            self._account = ours.model_dump(exclude_unset=True)
        self._model = chunk.model or self._model
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            self._text += (choice.delta.content or "") if choice.delta else ""
            self._finish_reason = choice.finish_reason or self._finish_reason
        return Tick()

    def reply(self) -> Reply:
        """Return the reply. Raise AskError if there is none."""
        if not self._text and not self._finish_reason:
            raise AskError(NOT_OURS)
        return Reply(self._text, self._finish_reason, self._model, self._usage, self._account)


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the lines of a stream. Raise AskError if one is too long."""
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from whole
        if len(rest) > MOST_BYTES:
            raise AskError(NOT_OURS)


def _limited(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the parts of a body as far as it is not too long."""
    size = 0
    for part in parts:
        size += len(part)
        if size > MOST_BYTES:
            return
        yield part


def _failure(status: int, data: bytes) -> AskError:
    """Return the error of a response that is no answer."""
    body: Any = None
    with suppress(ValueError):
        body = json.loads(data)
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str) or not message.strip():
        return AskError(f"The server answered with status {status}. {NOT_OURS}", status)
    spent = body.get("cepo_cerebras")
    ours = {"cepo_cerebras": spent} if isinstance(spent, dict) else {}
    return AskError(message, status, {"error": error, **ours})
