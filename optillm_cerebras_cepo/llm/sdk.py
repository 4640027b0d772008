"""The Cerebras SDK as a ChatClient: calls, streams, and the list of models. The SDK's log contains no prompt."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

import cerebras.cloud.sdk as sdk
import httpx

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Listener
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import (
    ApiUnreachable,
    CepoError,
    ErrorScope,
    StreamBroken,
    UnusableReply,
    UnwritableCall,
)
from optillm_cerebras_cepo.core.rate_limit_headers import quota_of
from optillm_cerebras_cepo.llm.completions import StreamAssembler, completion_of, fields, repaired, text
from optillm_cerebras_cepo.llm.connection import DEFAULT_TLS, TlsSettings, normalized
from optillm_cerebras_cepo.llm.event_loop import THREAD, EventLoop
from optillm_cerebras_cepo.llm.sdk_errors import NO_COMPLETION, translate

LOGGER = "cerebras.cloud.sdk._base_client"
PATH = "/v1/chat/completions"
LIST_PATH = "/v1/models"
CONNECTIONS = 100  # open at once, as in the SDK's default client
CONNECT_TIMEOUT = 10.0  # seconds
LIST_TIMEOUT = 10.0  # seconds for the list of models: it comes before the first call, and shows an unreachable host


def _is_not_request_body(record: logging.LogRecord) -> bool:
    """Return False for request options of our calls, which run on our thread. OptiLLM's own calls stay in the log."""
    return not (record.threadName == THREAD and str(record.msg).startswith("Request options"))


class SdkClient:
    """Long-lived connections to one API with one key. Safe for many threads.

    Args:
        base_url: with or without `/v1`, which the SDK adds itself.
        api_key: the Cerebras key.
        loop: runs the traffic.
        tls: how the API's certificate is verified.
        connections: that may be open at once; further calls wait for one.

    Raises:
        BadConfiguration: the base URL is invalid, or the trusted certificates cannot be loaded.

    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        loop: EventLoop,
        tls: TlsSettings = DEFAULT_TLS,
        connections: int = CONNECTIONS,
    ) -> None:
        self.base_url = normalized(base_url)
        self._loop = loop
        self._chat_url = self.base_url + PATH  # the SDK would parse and join a relative URL again for each call
        logging.getLogger(LOGGER).addFilter(_is_not_request_body)  # once, however often it is added
        self._client = sdk.AsyncCerebras(
            api_key=api_key,
            base_url=self.base_url,
            # With the SDK's default transport on Python 3.10, many a call that is cancelled while it is sent keeps its
            # connection open, and the API continues to generate. The default also takes more CPU time.
            http_client=sdk.DefaultAioHttpClient(
                verify=tls.context(), limits=httpx.Limits(max_connections=connections)
            ),
            max_retries=0,  # only `retry.py` retries
            warm_tcp_connection=False,  # a blocking GET in the constructor, 4.5 s for an unreachable host
            default_headers={"X-Cerebras-3rd-Party-Integration": f"optillm-cerebras-cepo/{__version__}"},
        )

    @property
    def address(self) -> tuple[str, str]:
        """Base URL and key, which rate limits belong to."""
        return self.base_url, self._client.api_key

    def complete(self, request: ChatRequest) -> Completion:
        """Make exactly one HTTP request. Raises a CepoError for every failure."""
        reply, sent = StreamAssembler(request.model), False

        def on_send() -> None:
            nonlocal sent
            sent = True

        work = (
            self._stream(request, on_send, request.listener, reply)
            if request.listener
            else self._whole(request, on_send)
        )
        try:
            return self._loop.run(work, request.deadline, request.timeout, request.when_late)
        except sdk.CerebrasError as error:
            failure = translate(error, request)
        except httpx.TransportError:  # within a stream, where the SDK does not translate it
            failure = ApiUnreachable("the Cerebras API broke off its reply; try again")
        except ValueError:  # from writing the request: replies are parsed separately below
            sent = False
            failure = UnwritableCall("a call cannot be written as JSON; this is a defect of cepo_cerebras")
        except CepoError as error:
            failure = error
        if reply.started and failure.scope is ErrorScope.CALL:
            failure = StreamBroken(f"the answer broke off: {failure.message}")
        if not sent:
            failure = copy.copy(failure)  # all calls of a request share the error that ended it
            failure.sent = False
        try:
            raise failure from None
        finally:
            del failure  # otherwise the traceback and this frame would keep each other alive

    async def _whole(self, request: ChatRequest, on_send: Callable[[], None]) -> Completion:
        on_send()
        # The SDK's own `create` walks through the types of parameters and reply, which takes nearly a millisecond and
        # verifies neither, so the reply has to be read with care in any case.
        response = await self._client.post(
            self._chat_url,
            cast_to=httpx.Response,
            body=request.body(),
            options=_options(request.timeout, request.headers),
        )
        completion = completion_of(_json(response), request.model)
        if completion is None:
            raise UnusableReply(NO_COMPLETION)
        quota = quota_of(response.headers)
        return replace(completion, quota=quota) if quota else completion

    async def _stream(
        self, request: ChatRequest, on_send: Callable[[], None], listener: Listener, reply: StreamAssembler
    ) -> Completion:
        """Pass each piece to the listener, and return the whole reply."""
        on_send()
        stream = await self._client.post(
            self._chat_url,
            cast_to=object,
            body=request.body(),
            options=_options(request.timeout, request.headers),
            stream=True,
            stream_cls=sdk.AsyncStream[object],
        )
        try:
            async for chunk in stream:
                if delta := reply.add(chunk):
                    listener(delta)
            if delta := reply.end():
                listener(delta)
        except ValueError:  # a chunk that is not JSON or not UTF-8
            raise UnusableReply("the Cerebras API broke off its reply") from None
        finally:
            await stream.close()
        if not reply.finished:
            raise UnusableReply("the Cerebras API broke off its reply")
        return replace(reply.completion(), quota=quota_of(stream.response.headers))

    def list_models(self, deadline: Deadline | None = None) -> tuple[str, ...]:
        """Return the ids that the API lists for this key, within LIST_TIMEOUT.

        Raises:
            UnusableReply: the reply is not a list of models, but a page of HTML for example.
            CepoError: the list cannot be fetched, or what ended the deadline.

        """
        work = self._client.get(LIST_PATH, cast_to=httpx.Response, options=_options(None))
        try:
            response = self._loop.run(work, deadline, LIST_TIMEOUT)
        except sdk.CerebrasError as error:
            raise translate(error) from None
        listed = fields(_json(response)).get("data")
        if not isinstance(listed, list):
            raise UnusableReply("the Cerebras API did not answer with a list of models; check --base-url")
        return tuple(filter(None, (text(fields(model).get("id")) for model in listed)))

    def close(self) -> None:
        """Close all connections."""
        self._loop.run(self._client.close())


def plain_client(base_url: str, api_key: str, tls: TlsSettings = DEFAULT_TLS) -> sdk.Cerebras:
    """Return the SDK's own client, which OptiLLM passes to its approaches; no call is made."""
    return sdk.Cerebras(
        api_key=api_key,
        base_url=normalized(base_url),
        warm_tcp_connection=False,
        http_client=sdk.DefaultHttpxClient(verify=tls.context()),
    )


def address_of(client: object) -> tuple[str, str] | None:
    """Return base URL and key of a client of the Cerebras SDK; None for any other client."""
    return (str(client.base_url), client.api_key) if isinstance(client, sdk.Cerebras) else None


def _json(response: httpx.Response) -> object:
    """Return the body's JSON value, with U+FFFD for each half of a surrogate pair; None if it is not JSON."""
    try:
        body = response.json()
    except ValueError:
        return None
    escaped = b"\\ud" in response.content or b"\\uD" in response.content
    return repaired(body) if escaped else body


def _options(timeout: float | None, headers: Mapping[str, str] | None = None) -> sdk.RequestOptions:
    """Limit the time for connecting only: the SDK's other time-outs restart with each byte. The loop limits all."""
    connect = CONNECT_TIMEOUT if timeout is None else min(CONNECT_TIMEOUT, timeout)
    options: sdk.RequestOptions = {"timeout": httpx.Timeout(None, connect=connect)}
    return {**options, "headers": headers} if headers else options
