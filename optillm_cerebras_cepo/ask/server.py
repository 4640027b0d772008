"""A request that a server answers: `cepo-cerebras serve`, or OptiLLM with this plugin."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import httpx

from optillm_cerebras_cepo.ask.updates import AskError, Entries, Nothing, Reply, Update

CONNECT_SECONDS = 10.0  # time-out; the server's own deadline limits the rest
IDLE_SECONDS = 60.0  # time-out; a working server sends something every five seconds


class ServerAnswering:
    """A request to a server, sent when its updates are read.

    Args:
        url: of the server, with or without `/v1`.
        key: the client's key; empty for none.
        body: the request's fields.

    """

    def __init__(self, url: str, key: str, body: Mapping[str, Any]) -> None:
        self._url = f"{url.rstrip('/').removesuffix('/v1')}/v1/chat/completions"
        self._key = key
        self._body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        self._response: httpx.Response | None = None

    def updates(self) -> Iterator[Update]:
        """Yield what happens, up to the Reply. Raise AskError if there is no answer."""
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = httpx.Timeout(IDLE_SECONDS, connect=CONNECT_SECONDS)
        try:
            with (
                httpx.Client(timeout=timeout) as client,
                client.stream("POST", self._url, json=self._body, headers=headers) as response,
            ):
                self._response = response
                yield from self._read(response)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise AskError(f"{self._url} is not a valid address; write it as http://127.0.0.1:8080.") from None
        except httpx.ConnectError:
            raise AskError(f"No server answers at {self._url}; start one with `cepo-cerebras serve`.") from None
        except httpx.HTTPError as error:
            raise AskError(f"The connection to {self._url} broke ({type(error).__name__}); ask again.") from None

    def give_up(self) -> Mapping[str, Any]:
        """Hang up, which makes the server give up its calls. It cannot say any more what it has spent."""
        if self._response is not None:
            self._response.close()
        return {}

    def _read(self, response: httpx.Response) -> Iterator[Update]:
        if response.status_code != 200:
            response.read()
            raise _failure(response.status_code, response.text)
        stream = _Stream()
        for line in response.iter_lines():
            if not line.startswith("data: "):
                yield Nothing()
                continue
            data = line.removeprefix("data: ")
            if data == "[DONE]":
                yield stream.reply()
                return
            yield stream.read(json.loads(data))
        raise AskError("The server ended its reply before the answer; its log says why.", response.status_code)


class _Stream:
    """What the chunks of a stream add up to."""

    def __init__(self) -> None:
        self._text = ""
        self._finish_reason = ""
        self._model = ""
        self._usage: Mapping[str, Any] = {}
        self._account: Mapping[str, Any] = {}

    def read(self, chunk: Mapping[str, Any]) -> Update:
        """Add a chunk. Raise AskError if it is an error."""
        if "error" in chunk:
            raise _failure(200, json.dumps(chunk))
        ours = chunk.get("cepo_cerebras") or {}
        if "trace" in ours:
            return Entries(ours["trace"])
        self._account = ours or self._account
        self._model = chunk.get("model") or self._model
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices", ()):
            self._text += (choice.get("delta") or {}).get("content") or ""
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
        return Nothing()

    def reply(self) -> Reply:
        """Return the reply."""
        return Reply(self._text, self._finish_reason, self._model, self._usage, self._account)


def _failure(status: int, text: str) -> AskError:
    """Return the error of a response that is no answer."""
    body: Any = None
    with suppress(ValueError):
        body = json.loads(text)
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return AskError(error["message"], status, body)
    return AskError(
        f"The server answered with status {status}; is it a server with the approach cepo_cerebras?", status
    )
