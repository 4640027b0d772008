"""What the Cerebras SDK raises, as errors of ours: by exception, by status, and by what a refusal says."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import cerebras.cloud.sdk as sdk
import httpx

from optillm_cerebras_cepo.chat import ChatRequest
from optillm_cerebras_cepo.errors import (
    ApiTimeout,
    ApiUnavailable,
    ApiUnreachable,
    CallTooLarge,
    CepoError,
    CertificateError,
    Forbidden,
    ModelUnavailable,
    PaymentRequired,
    PromptTooLong,
    QuotaExhausted,
    RateLimited,
    RefusedCall,
    UnprocessableCall,
    UnusableReply,
    WrongBaseUrl,
    WrongKey,
)
from optillm_cerebras_cepo.llm import tls
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.quota import quota_of, refused_window, unit_of

NO_COMPLETION = "the Cerebras API answered with something that is no completion; if all replies are, check --base-url"


def translate(error: sdk.CerebrasError, request: ChatRequest | None = None) -> CepoError:
    """Return the error of ours for what the SDK met: with our words and our status.

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
