"""The Cerebras SDK behind ChatClient. The only file that knows the SDK, and where its exceptions become ours."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import cerebras.cloud.sdk as sdk
import httpx

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.chat import ChatRequest, Completion, Listener
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import (
    ApiTimeout,
    ApiUnavailable,
    ApiUnreachable,
    CallTooLarge,
    CepoError,
    CertificateError,
    Ends,
    Forbidden,
    ModelUnavailable,
    PaymentRequired,
    PromptTooLong,
    QuotaExhausted,
    RateLimited,
    RefusedCall,
    StreamBroken,
    UnprocessableCall,
    UnusableReply,
    UnwritableCall,
    WrongBaseUrl,
    WrongKey,
)
from optillm_cerebras_cepo.llm import tls
from optillm_cerebras_cepo.llm.assembly import Assembly, completion_of, fields, mended, text
from optillm_cerebras_cepo.llm.base_url import normalized
from optillm_cerebras_cepo.llm.hush import hush
from optillm_cerebras_cepo.llm.loop import Loop
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.quota import quota_of, refused_window, unit_of

PATH = "/v1/chat/completions"
LIST_PATH = "/v1/models"
NO_COMPLETION = "the Cerebras API answered with something that is no completion; if all replies are, check --base-url"
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


def translate(error: sdk.CerebrasError, request: ChatRequest | None = None) -> CepoError:
    """Say in our words, and with our status, what the SDK met.

    The API's own words are left out, but for its code: a validation error quotes the input, which may be a prompt.
    """
    if isinstance(error, sdk.APIConnectionError) and (fault := tls.certificate_fault(error)):
        return CertificateError(
            f"the certificate of the Cerebras API {fault}; check --base-url, or set --ssl-cert-path on the server to a "
            "PEM file with the authority that signed it"
        )
    if isinstance(error, sdk.APITimeoutError) and not _broken(error):
        return ApiTimeout("the Cerebras API did not answer in time")
    if isinstance(error, sdk.APIConnectionError):
        return ApiUnreachable("the Cerebras API cannot be reached; check --base-url and the network")
    if isinstance(error, sdk.APIStatusError):
        return _by_status(error, request)
    return UnusableReply(NO_COMPLETION)


def _broken(error: sdk.APITimeoutError) -> bool:
    """Whether a connection broke, for httpx-aiohttp 0.2.0 calls that a time-out (transport.py:20)."""
    origin = error.__cause__ and error.__cause__.__cause__
    return isinstance(origin, aiohttp.ClientConnectionError) and not isinstance(origin, aiohttp.ServerTimeoutError)


def _by_status(error: sdk.APIStatusError, request: ChatRequest | None) -> CepoError:
    status = error.status_code
    body = _flat(error.body)
    if status < 400:
        return ApiUnavailable("the Cerebras API reported an error in the middle of its reply; try again later")
    code, text, param = (str(body.get(name) or "") for name in ("code", "message", "param"))
    code = code if re.fullmatch(r"[a-z_]{1,64}", code) else ""
    if status == 401:
        return WrongKey("Cerebras does not know the key (401); check CEREBRAS_API_KEY on the server")
    if status == 402:
        return PaymentRequired("the Cerebras account has no credit (402); see its billing page")
    if status == 403:
        return Forbidden("Cerebras, or a gateway before it, refuses this key (403); check what the key may use")
    if status in (404, 405) and request is not None:
        concerns_model = code.startswith("model_") or param == "model" or request.model in text
        return _missing(status, request.model if status == 404 and concerns_model else None)
    if status == 429:
        return _limited(error.response.headers, code, refused_window(text))
    if status in (408, 409, 425) or status >= 500:
        after = _seconds(error.response.headers.get("retry-after"))
        return ApiUnavailable(f"the Cerebras API answered {status}; try again later", retry_after=after)
    if status == 413:
        return CallTooLarge(_too_long(request))
    if code == "context_length_exceeded" or text.startswith("Please reduce the length"):
        return _beyond_context(text, request)
    reason = f"{status} {code}".strip()
    kind = UnprocessableCall if status == 422 else RefusedCall
    return kind(f"the Cerebras API refused the call ({reason})", api_param=param, api_text=text)


def _missing(status: int, model: str | None) -> CepoError:
    """The error for a 404 or 405: of the API itself about this model, or of whatever else is at the base URL."""
    if model is None:
        return WrongBaseUrl(
            f"there is no chat endpoint at the server's base URL ({status}); check --base-url (or CEREBRAS_BASE_URL), "
            "which ends before /v1"
        )
    return ModelUnavailable(
        f"the API does not serve {model} to this key (404); set CEPO_CEREBRAS_MODEL to one that it lists", param="model"
    )


def _limited(headers: httpx.Headers, code: str, window: str) -> RateLimited:
    after, quota = _seconds(headers.get("retry-after")), quota_of(headers)
    if unit_of(window) == "day":
        message = (
            f"the day's limit of this Cerebras key is used up ({code or '429'}); it fills up again as the day goes on"
        )
        return QuotaExhausted(message, retry_after=after, window=window, quota=quota)
    message = f"the Cerebras API limits this key ({code or '429'}); try again later"
    return RateLimited(message, retry_after=after, window=window, quota=quota)


def _beyond_context(text: str, request: ChatRequest | None) -> PromptTooLong:
    """With the figures of "Current length is 42328 while limit is 40000", where it has them."""
    told = re.search(r"length is (\d{1,9}) .*limit is ([1-9]\d{0,8})", text)
    if told is None:
        return PromptTooLong(_too_long(request))
    length, limit = int(told[1]), int(told[2])
    reply = request.max_tokens if request else 0
    # The length is that of the prompt and of the reply that was asked for.
    return PromptTooLong(
        _too_long(request, limit), prompt_tokens=length - reply if length > reply else length, limit=limit
    )


def _too_long(request: ChatRequest | None, limit: int | None = None) -> str:
    context = limit or (lookup(request.model).context if request else None)
    most = f" (at most {context:,} tokens with its reply)" if context else ""
    return f"the prompt is too long for the model{most}; shorten it or lower the token limits"


def _flat(body: object) -> dict[str, Any]:
    """The error's fields. Cerebras sends them flat; OpenAI-like servers under `error`."""
    if not isinstance(body, dict):
        return {}
    inner = body.get("error")
    return inner if isinstance(inner, dict) else body


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header) if header is not None else None
    except ValueError:
        return None  # a date: Cerebras documents no such header, and a guess is no better than our own wait
    return seconds if seconds is not None and 0 <= seconds < 86_400 else None


def _options(request: ChatRequest) -> sdk.RequestOptions:
    return {"timeout": _connecting(request.timeout)}


def _connecting(timeout: float | None) -> httpx.Timeout:
    """Time-outs for the SDK: of connecting only. Its others begin anew with each byte; the loop limits the whole."""
    return httpx.Timeout(None, connect=min(CONNECT_TIMEOUT, CONNECT_TIMEOUT if timeout is None else timeout))
