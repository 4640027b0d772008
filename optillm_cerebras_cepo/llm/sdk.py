"""The Cerebras SDK behind ChatClient: calls, streams, and the list of models."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import cerebras.cloud.sdk as sdk
import httpx

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.chat import ChatRequest, Completion, Listener
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import (
    ApiUnreachable,
    CepoError,
    Ends,
    StreamBroken,
    UnusableReply,
    UnwritableCall,
)
from optillm_cerebras_cepo.llm import tls
from optillm_cerebras_cepo.llm.assembly import Assembly, completion_of, fields, mended, text
from optillm_cerebras_cepo.llm.base_url import normalized
from optillm_cerebras_cepo.llm.hush import hush
from optillm_cerebras_cepo.llm.loop import Loop
from optillm_cerebras_cepo.llm.sdk_errors import NO_COMPLETION, translate
from optillm_cerebras_cepo.quota import quota_of

PATH = "/v1/chat/completions"
LIST_PATH = "/v1/models"
CONNECTIONS = 100  # that are open at once, as in the SDK's default client
CONNECT_TIMEOUT = 10.0  # seconds; a host that takes no connection by then is not there
LIST_TIMEOUT = 10.0  # seconds for the list of models: it comes before the first call, and a dead host should show


@dataclass
class _Departure:
    """Whether a call has left for the API: one that was given up before is not counted."""

    left: bool = False


class SdkClient:
    """One long-lived connection pool to one API with one key; safe for many threads.

    Args:
        base_url: with or without `/v1`, which the SDK adds itself.
        api_key: the Cerebras key.
        loop: where its traffic runs.
        settings: how the API's certificate is verified.
        connections: that may be open at once; further calls wait for one.

    Raises:
        BadConfiguration: the base URL is none, or the trusted certificates cannot be loaded.

    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        loop: Loop,
        settings: tls.Tls = tls.DEFAULT,
        connections: int = CONNECTIONS,
    ) -> None:
        self.base_url = normalized(base_url)
        self._loop = loop
        self._chat = self.base_url + PATH  # the SDK would parse and join a relative address anew for each call
        hush()
        self._client = sdk.AsyncCerebras(
            api_key=api_key,
            base_url=self.base_url,
            # On Python 3.10 the SDK's default transport leaves open the connection of many a call that is cancelled
            # while it is being sent, and the API generating for nobody; and it takes more processor time anywhere.
            http_client=sdk.DefaultAioHttpClient(
                verify=settings.context(), limits=httpx.Limits(max_connections=connections)
            ),
            max_retries=0,  # `retry.py` is the one place that retries
            warm_tcp_connection=False,  # a blocking GET in the constructor, 4.5 s on a dead host
            default_headers={"X-Cerebras-3rd-Party-Integration": f"optillm-cerebras-cepo/{__version__}"},
        )

    def complete(self, request: ChatRequest) -> Completion:
        """Make exactly one HTTP request. Raises a CepoError for every way it can fail."""
        reply, departure = Assembly(request.model), _Departure()
        work = (
            self._stream(request, departure, request.listener, reply)
            if request.listener
            else self._whole(request, departure)
        )
        try:
            return self._loop.run(work, request.deadline, request.timeout)
        except sdk.CerebrasError as error:
            failure = translate(error, request)
        except httpx.TransportError:  # in the middle of a stream, which the SDK does not look after
            failure = ApiUnreachable("the Cerebras API broke off its reply; try again")
        except ValueError:  # nothing that came from the network: those are read below
            departure.left = False
            failure = UnwritableCall("a call cannot be written as JSON; this is a defect of cepo_cerebras")
        except CepoError as error:
            failure = error
        if reply.heard and failure.ends is Ends.CALL:
            failure = StreamBroken(f"the answer broke off: {failure.message}")
        if not departure.left:
            failure = copy.copy(failure)  # what ended a request is the same object for all of its calls
            failure.sent = False
        try:
            raise failure from None
        finally:
            del failure  # or its trace would hold this frame, and this frame the error

    async def _whole(self, request: ChatRequest, departure: _Departure) -> Completion:
        departure.left = True
        # The SDK's own `create` walks through the types of its parameters before it makes this call, and through those
        # of the reply after it: near a millisecond. It checks neither, so that we have to read with care anyway.
        response = await self._client.post(
            self._chat, cast_to=httpx.Response, body=request.body(), options=_options(request)
        )
        completion = completion_of(json_of(response), request.model)
        if completion is None:
            raise UnusableReply(NO_COMPLETION)
        quota = quota_of(response.headers)
        return replace(completion, quota=quota) if quota else completion

    async def _stream(
        self, request: ChatRequest, departure: _Departure, listener: Listener, reply: Assembly
    ) -> Completion:
        """Hand on each piece as it comes, and return the whole at the end."""
        departure.left = True
        stream = await self._client.post(
            self._chat,
            cast_to=object,
            body=request.body(),
            options=_options(request),
            stream=True,
            stream_cls=sdk.AsyncStream[object],
        )
        try:
            async for chunk in stream:
                if delta := reply.add(chunk):
                    listener(delta)
            if delta := reply.rest():
                listener(delta)
        except ValueError:  # a chunk that is no JSON, or no UTF-8
            raise UnusableReply("the Cerebras API broke off its reply") from None
        finally:
            await stream.close()
        if not reply.finished:
            raise UnusableReply("the Cerebras API broke off its reply")
        return replace(reply.completion(), quota=quota_of(stream.response.headers))

    @property
    def address(self) -> tuple[str, str]:
        """Whose limits are those of this client: address and key."""
        return self.base_url, self._client.api_key

    def list_models(self, deadline: Deadline | None = None) -> tuple[str, ...]:
        """Return the ids that the API lists for this key.

        Args:
            deadline: until when to wait; LIST_TIMEOUT ends the wait in any case.

        Raises:
            UnusableReply: what came is no list of models, such as a page of HTML.
            CepoError: the list cannot be had, or what ended the deadline.

        """
        work = self._client.get(LIST_PATH, cast_to=httpx.Response, options={"timeout": _connecting(None)})
        try:
            response = self._loop.run(work, deadline, LIST_TIMEOUT)
        except sdk.CerebrasError as error:
            raise translate(error) from None
        listed = fields(json_of(response)).get("data")
        if not isinstance(listed, list):
            raise UnusableReply("the Cerebras API answered with something that is no list of models; check --base-url")
        return tuple(filter(None, (text(fields(model).get("id")) for model in listed)))

    def close(self) -> None:
        """Close every connection."""
        self._loop.run(self._client.close())


def json_of(response: httpx.Response) -> object:
    """Return the body's JSON value, with U+FFFD for each half of a surrogate pair; None where it is no JSON."""
    try:
        body = response.json()
    except ValueError:
        return None
    escaped = b"\\ud" in response.content or b"\\uD" in response.content
    return mended(body) if escaped else body


def plain_client(base_url: str, api_key: str, settings: tls.Tls = tls.DEFAULT) -> sdk.Cerebras:
    """The SDK's own client, which OptiLLM hands to its approaches; made without a call, and once for all requests."""
    return sdk.Cerebras(
        api_key=api_key,
        base_url=normalized(base_url),
        warm_tcp_connection=False,
        http_client=sdk.DefaultHttpxClient(verify=settings.context()),
    )


def address_of(client: object) -> tuple[str, str] | None:
    """Address and key of a client of the Cerebras SDK; None for any other client."""
    return (str(client.base_url), client.api_key) if isinstance(client, sdk.Cerebras) else None


def _options(request: ChatRequest) -> sdk.RequestOptions:
    return {"timeout": _connecting(request.timeout)}


def _connecting(timeout: float | None) -> httpx.Timeout:
    """Time-outs for the SDK: of connecting only. Its others begin anew with each byte; the loop limits the whole."""
    return httpx.Timeout(None, connect=min(CONNECT_TIMEOUT, CONNECT_TIMEOUT if timeout is None else timeout))
