"""Errors: one class for each cause, with its HTTP status and what follows from it.

A message is one line for the person who reads it: what happened and what to do. It contains no key, no prompt and no
stack trace, so that it can be shown to any client. Errors of the servers are in `host/responses.py` and
`sidecar/errors.py`.

The keywords of a class are its row in the table of errors:

- `status`, `type`, `code`: of the response, as OpenAI's clients read them;
- `retryable`: the same call may succeed on another try;
- `scope`: which further calls of the request cannot succeed either;
- `discards_answers`: finished candidates are discarded too. Otherwise the best of them is still an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar

from optillm_cerebras_cepo.core.rate_limit_headers import Quota


class ErrorScope(Enum):
    """What an error ends."""

    CALL = "call"
    """One call. Other calls of the request may succeed."""

    MODEL = "model"
    """All further calls of the request to this model. Another model may still answer."""

    REQUEST = "request"
    """All further calls of the request."""


class CepoError(Exception):
    """The root of all errors.

    Attributes:
        message: safe to show to any client.
        param: the field at fault, as in OpenAI's errors.
        retry_after: seconds that the API asked to wait; None if it did not.
        spent: calls, tokens and dollars of the whole request; empty before its first call.
        sent: False if the call was never sent, so that it is not counted.

    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: ClassVar[str | None] = None
    scope: ClassVar[ErrorScope] = ErrorScope.CALL
    retryable: ClassVar[bool] = False
    discards_answers: ClassVar[bool] = False

    def __init_subclass__(cls, **row: Any) -> None:
        """Set the class attributes that are given as keywords of the class."""
        for name, value in row.items():
            if name not in CepoError.__annotations__:
                raise TypeError(f"an error has no {name}")
            setattr(cls, name, value)
        super().__init_subclass__()

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.spent: Mapping[str, float | None] = {}
        self.sent = True

    @property
    def client_may_retry(self) -> bool:
        """Whether another request may succeed, at the time that `retry_after` names."""
        return self.retryable

    def body(self) -> dict[str, Any]:
        """Return the response body in OpenAI's shape, with what was spent beside the error."""
        error = {"message": self.sentence, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error, **({"cepo_cerebras": dict(self.spent)} if self.spent else {})}

    @property
    def sentence(self) -> str:
        """The message, which other messages quote as a clause, as a sentence. A field keeps its spelling."""
        text, first = self.message, self.message.partition(" ")[0]
        if first.isalpha() and first != self.param:
            text = text[:1].upper() + text[1:]
        ends = text.endswith((".", "!", "?")) or "://" in text.rpartition(" ")[2]  # an address is there to be copied
        return text if ends else f"{text}."


# To be corrected by the client or the operator.


class BadRequest(
    CepoError,
    status=400,
    type="invalid_request_error",
    code="invalid_request",
    scope=ErrorScope.REQUEST,
    discards_answers=True,
):
    """The request cannot be served as it is."""


class BadConfiguration(CepoError, code="bad_configuration", scope=ErrorScope.REQUEST, discards_answers=True):
    """The server's own configuration is invalid; only the operator can correct it."""


class MissingKey(
    CepoError,
    status=401,
    type="authentication_error",
    code="missing_api_key",
    scope=ErrorScope.REQUEST,
    discards_answers=True,
):
    """The server has no Cerebras key."""


class WrongKey(MissingKey, code="wrong_api_key", discards_answers=False):
    """Cerebras does not know the key (401)."""


class Forbidden(CepoError, status=403, type="permission_error", code="forbidden", scope=ErrorScope.MODEL):
    """Cerebras, or a gateway before it, refuses the key this use (403)."""


class PaymentRequired(CepoError, status=402, type="billing_error", code="payment_required", scope=ErrorScope.REQUEST):
    """The account has no credit (402)."""


class CertificateError(CepoError, status=502, code="certificate_error", scope=ErrorScope.REQUEST):
    """The API's TLS certificate is not accepted; no call can be made before the operator changes something."""


class WrongBaseUrl(CepoError, status=502, code="wrong_base_url", scope=ErrorScope.MODEL):
    """The base URL leads to a server without a chat endpoint.

    The status is 502, as for any gateway whose upstream is misconfigured: OpenAI's clients would take the 404 that the
    server answered for a missing model. A gateway may route by model, so the error ends calls to this model only.
    """


class ModelUnavailable(CepoError, status=404, type="not_found_error", code="model_not_found", scope=ErrorScope.MODEL):
    """None of the wanted models is served (404)."""


# Errors of one call. Another call of the same request may still succeed.


class RefusedCall(CepoError, status=400, type="invalid_request_error", code="refused_by_api"):
    """The API refuses a call as invalid (400).

    `api_param` and `api_text` are the API's own param and message. They may quote the prompt, so they are never shown;
    `llm/unsupported_params.py` reads the refused field from them.
    """

    def __init__(self, message: str, *, param: str | None = None, api_param: str = "", api_text: str = "") -> None:
        super().__init__(message, param=param)
        self.api_param = api_param
        self.api_text = api_text


class UnprocessableCall(RefusedCall, status=422, code="unprocessable_by_api"):
    """The API refuses a call as invalid (422)."""


class PromptTooLong(CepoError, status=400, type="invalid_request_error", code="context_length_exceeded"):
    """Prompt and reply together do not fit the model's context.

    `prompt_tokens`, and `limit` for prompt and reply together, are the API's figures; None where it gives none.
    """

    def __init__(self, message: str, *, prompt_tokens: int | None = None, limit: int | None = None) -> None:
        super().__init__(message, param="messages")
        self.prompt_tokens = prompt_tokens
        self.limit = limit


class CallTooLarge(PromptTooLong, status=413, code="too_large_for_api"):
    """The API refuses a call as too large (413)."""


class RateLimited(CepoError, status=429, type="rate_limit_error", code="rate_limited", retryable=True):
    """A limit of the account, or of the API's capacity (429).

    `window` is the limit that the API names, such as `requests-minute`; empty if the API lacks capacity. `quota` has
    the limits in the headers.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, window: str = "", quota: Quota | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.window = window
        self.quota: Quota = quota or {}


class QuotaExhausted(RateLimited, code="quota_exhausted", scope=ErrorScope.MODEL, retryable=False):
    """A day's limit of the model is used up (429): no further call to it is possible today."""


class ApiUnavailable(CepoError, status=503, code="api_unavailable", retryable=True):
    """The API answered 5xx, 408, 409 or 425."""


class ApiUnreachable(CepoError, status=502, code="api_unreachable", retryable=True):
    """No connection could be made, or it broke."""


class ApiTimeout(CepoError, status=504, type="timeout_error", code="api_timeout", retryable=True):
    """A call took longer than its limit."""


class UnwritableCall(CepoError, code="unwritable_call"):
    """A call cannot be written as JSON and was not sent. Texts of clients and models are checked before."""


class Superseded(CepoError, status=499, code="superseded"):
    """Another call to the same end was answered first, and this one was cancelled."""


class UnusableReply(CepoError, status=502, code="unusable_reply", retryable=True):
    """The API answered 200 with a body that is not a completion, or with an empty one."""


# Errors of the whole request.


class StreamBroken(CepoError, status=502, code="stream_broken", scope=ErrorScope.REQUEST, discards_answers=True):
    """A reply that was already being streamed to the client broke off; it cannot be restarted."""


class NoAnswer(CepoError, status=502, code="no_answer"):
    """Every path to an answer failed."""


class DeadlineExceeded(CepoError, status=504, type="timeout_error", code="deadline_exceeded", scope=ErrorScope.REQUEST):
    """The request's time is over."""


class OutOfTime(CepoError, status=504, type="timeout_error", code="out_of_time"):
    """The remaining time is reserved for steps that the answer needs; those continue."""


class NoPrice(BadRequest, code="no_price"):
    """A request limits its cost, and the price of its model is not known."""


class OutOfBudget(CepoError, status=422, type="invalid_request_error", code="out_of_budget"):
    """The remaining calls or tokens are not enough for this call; others may continue."""


HUNG_UP = "the client hung up"  # the message of Ended where that is the reason


class Ended(CepoError, status=499, code="ended", scope=ErrorScope.REQUEST, discards_answers=True):
    """The request has ended, so that nobody waits for this call's reply. 499 is nginx's status for a hang-up."""
