"""Translate what the Cerebras SDK raises into our errors: by exception, by status, and by the text of a refusal."""

from __future__ import annotations

import re

import aiohttp
import cerebras.cloud.sdk as sdk
import httpx

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import ChatRequest
from optillm_cerebras_cepo.core.rate_limit_headers import quota_of, refused_window, unit_of
from optillm_cerebras_cepo.llm.completions import fields
from optillm_cerebras_cepo.llm.connection import certificate_fault
from optillm_cerebras_cepo.llm.models import lookup

NO_COMPLETION = "the Cerebras API did not answer with a completion; if this happens for each call, check --base-url"


def translate(error: sdk.CerebrasError, request: ChatRequest | None = None) -> errors.CepoError:
    """Return our error for an error of the SDK.

    Of the API's text only its code is used: a validation error quotes the input, which may be a prompt.
    """
    if isinstance(error, sdk.APIConnectionError) and (fault := certificate_fault(error)):
        return errors.CertificateError(
            f"the certificate of the Cerebras API {fault}; check --base-url, or set --ssl-cert-path on the server to a "
            "PEM file with the authority that signed it"
        )
    if isinstance(error, sdk.APITimeoutError) and not _is_broken_connection(error):
        return errors.ApiTimeout("the Cerebras API did not answer in time")
    if isinstance(error, sdk.APIConnectionError):
        return errors.ApiUnreachable(
            "the Cerebras API cannot be reached; check --base-url (or CEREBRAS_BASE_URL) and the network"
        )
    if isinstance(error, sdk.APIStatusError):
        return _by_status(error, request)
    return errors.UnusableReply(NO_COMPLETION)


def _is_broken_connection(error: sdk.APITimeoutError) -> bool:
    """Return True if a connection broke, which httpx-aiohttp 0.2.0 reports as a time-out (transport.py:20)."""
    origin = error.__cause__ and error.__cause__.__cause__
    return isinstance(origin, aiohttp.ClientConnectionError) and not isinstance(origin, aiohttp.ServerTimeoutError)


def _by_status(error: sdk.APIStatusError, request: ChatRequest | None) -> errors.CepoError:
    status = error.status_code
    if status < 400:
        return errors.ApiUnavailable("the Cerebras API reported an error in the middle of its reply; try again later")
    body = fields(error.body)
    body = inner if isinstance(inner := body.get("error"), dict) else body  # as OpenAI-like servers nest it
    code, text, param = (str(body.get(name) or "") for name in ("code", "message", "param"))
    code = code if re.fullmatch(r"[a-z_]{1,64}", code) else ""
    headers = error.response.headers
    if status == 401:
        return errors.WrongKey("Cerebras does not know the key (401); check CEREBRAS_API_KEY on the server")
    if status == 402:
        return errors.PaymentRequired("the Cerebras account has no credit (402); see its billing page")
    if status == 403:
        return errors.Forbidden("Cerebras, or a gateway before it, refuses this key (403); check what the key may use")
    if status in (404, 405) and request is not None:
        if status == 404 and (code.startswith("model_") or param == "model" or request.model in text):
            return errors.ModelUnavailable(
                f"the API does not serve {request.model} to this key (404); set CEPO_CEREBRAS_MODEL to one that it "
                "lists",
                param="model",
            )
        return errors.WrongBaseUrl(
            f"the server's base URL has no chat endpoint ({status}); check --base-url (or CEREBRAS_BASE_URL), which "
            "ends before /v1"
        )
    if status == 429:
        return _rate_limited(headers, code, refused_window(text))
    if status in (408, 409, 425) or status >= 500:
        retry_after = _seconds(headers.get("retry-after"))
        return errors.ApiUnavailable(f"the Cerebras API answered {status}; try again later", retry_after=retry_after)
    if status == 413:
        return errors.CallTooLarge(_too_long(request))
    if code == "context_length_exceeded" or text.startswith("Please reduce the length"):
        return _prompt_too_long(text, request)
    reason = f"{status} {code}".strip()
    kind = errors.UnprocessableCall if status == 422 else errors.RefusedCall
    return kind(f"the Cerebras API refused the call ({reason})", api_param=param, api_text=text)


def _rate_limited(headers: httpx.Headers, code: str, window: str) -> errors.RateLimited:
    retry_after, quota = _seconds(headers.get("retry-after")), quota_of(headers)
    if unit_of(window) == "day":
        message = f"the day's limit of this Cerebras key is used up ({code or '429'}); it is refilled during the day"
        return errors.QuotaExhausted(message, retry_after=retry_after, window=window, quota=quota)
    message = f"the Cerebras API limits this key ({code or '429'}); try again later"
    return errors.RateLimited(message, retry_after=retry_after, window=window, quota=quota)


def _prompt_too_long(text: str, request: ChatRequest | None) -> errors.PromptTooLong:
    """Return the error with the numbers of "Current length is 42328 while limit is 40000", if the text has them."""
    numbers = re.search(r"length is (\d{1,9}) .*limit is ([1-9]\d{0,8})", text)
    if numbers is None:
        return errors.PromptTooLong(_too_long(request))
    length, limit = int(numbers[1]), int(numbers[2])
    reply = request.max_tokens if request else 0  # included in the length
    prompt_tokens = length - reply if length > reply else length
    return errors.PromptTooLong(_too_long(request, limit), prompt_tokens=prompt_tokens, limit=limit)


def _too_long(request: ChatRequest | None, limit: int | None = None) -> str:
    context = limit or (lookup(request.model).context if request else None)
    at_most = f" (at most {context:,} tokens with its reply)" if context else ""
    return f"the prompt is too long for the model{at_most}; shorten it or lower the token limits"


def _seconds(header: str | None) -> float | None:
    try:
        seconds = float(header) if header is not None else None
    except ValueError:
        return None  # a date, which Cerebras does not document; our own wait is used
    return seconds if seconds is not None and 0 <= seconds < 86_400 else None
