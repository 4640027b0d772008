"""What can go wrong with a request to the approach, each with its HTTP status and its OpenAI-style body.

A message is written for the person who reads it at the other end: what happened and what to do, in one line. It never
holds a key, a prompt or a trace, so it can be shown to any client as it is. What servers refuse before a request is one
to the approach stands with them, in `host/refusals.py` and `sidecar/refusals.py`.

Three facts about an error steer the rest of the package, and stand here so that no caller keeps a list of its own:

- `transient`: the same call may succeed when it is tried again;
- `ends`: which further calls of the request cannot succeed either (see `Ends`);
- `discards_answers`: finished candidates must be discarded as well. Otherwise the best of them is still an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar

from optillm_cerebras_cepo.quota import Quota


class Ends(Enum):
    """What an error ends."""

    CALL = "call"
    """This call alone. Other calls of the request may succeed."""

    MODEL = "model"
    """Every further call of the request to this model. Another model may still answer."""

    REQUEST = "request"
    """Every further call of the request."""


class CepoError(Exception):
    """The one root. `message` is safe to show; `param` names the field at fault, as OpenAI's errors do."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: ClassVar[str | None] = None
    transient: ClassVar[bool] = False
    ends: ClassVar[Ends] = Ends.CALL
    discards_answers: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after  # seconds, when the API named them
        self.spent: Mapping[str, int] = {}  # on the whole request: calls and tokens, once it has made any
        self.sent = True  # False: the call that raised this never left, so nobody counts it

    @property
    def again(self) -> bool:
        """Whether the client's asking again, at the time that `retry_after` names, is of any use."""
        return self.transient

    def body(self) -> dict[str, Any]:
        """The response body in OpenAI's shape, and beside it what was spent."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error, **({"cepo_cerebras": dict(self.spent)} if self.spent else {})}


# What the client or the operator has to change.


class BadRequest(CepoError):
    """The request cannot be served as it is."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    ends = Ends.REQUEST
    discards_answers = True


class BadConfiguration(CepoError):
    """The server's own configuration cannot work; the client can do nothing about it."""

    code = "bad_configuration"
    ends = Ends.REQUEST
    discards_answers = True


class MissingKey(CepoError):
    """The server has no Cerebras key."""

    status = 401
    type = "authentication_error"
    code = "missing_api_key"
    ends = Ends.REQUEST
    discards_answers = True


class WrongKey(MissingKey):
    """Cerebras does not know the key (401)."""

    code = "wrong_api_key"
    discards_answers = False


class Forbidden(CepoError):
    """Cerebras, or a gateway before it, refuses the key this use (403)."""

    status = 403
    type = "permission_error"
    code = "forbidden"
    ends = Ends.MODEL


class PaymentRequired(CepoError):
    """The account has no credit (402)."""

    status = 402
    type = "billing_error"
    code = "payment_required"
    ends = Ends.REQUEST


class CertificateError(CepoError):
    """The API's TLS certificate is not accepted; no call can be made before the operator changes something."""

    status = 502
    code = "certificate_error"
    ends = Ends.REQUEST


class WrongBaseUrl(CepoError):
    """The base URL leads to a server without a chat endpoint.

    Not the 404 that the server answered: the client has asked for nothing that is missing, and OpenAI's clients take a
    404 for the model's. A gateway whose upstream is misconfigured answers 502.
    """

    status = 502
    code = "wrong_base_url"
    ends = Ends.MODEL  # a gateway may route by model: the judge's 404 says nothing of the other model


class ModelUnavailable(CepoError):
    """None of the wanted models is served (404)."""

    status = 404
    type = "not_found_error"
    code = "model_not_found"
    ends = Ends.MODEL


# What one call met; another call of the same request may still go well.


class RefusedCall(CepoError):
    """The API calls this one request invalid (400, 422).

    `api_param` and `api_text` are the API's own words. They may quote the prompt: they are read to find the refused
    field (`llm/refused_params.py`), and never shown.
    """

    status = 400
    type = "invalid_request_error"
    code = "refused_by_api"

    def __init__(self, message: str, *, param: str | None = None, api_param: str = "", api_text: str = "") -> None:
        super().__init__(message, param=param)
        self.api_param = api_param
        self.api_text = api_text


class UnprocessableCall(RefusedCall):
    """The same, where the API answers 422."""

    status = 422
    code = "unprocessable_by_api"


class PromptTooLong(CepoError):
    """Prompt and reply together do not fit the model's context.

    `prompt_tokens` and `limit`, of prompt and reply together, are the API's own figures, where it says them.
    """

    status = 400
    type = "invalid_request_error"
    code = "context_length_exceeded"

    def __init__(self, message: str, *, prompt_tokens: int | None = None, limit: int | None = None) -> None:
        super().__init__(message, param="messages")
        self.prompt_tokens = prompt_tokens
        self.limit = limit


class CallTooLarge(PromptTooLong):
    """The same, where the API answers 413."""

    status = 413
    code = "too_large_for_api"


class RateLimited(CepoError):
    """A limit of the account, or of the API's capacity (429).

    `window` is the limit that the API names, such as `requests-minute`; nothing where it lacks capacity. `quota` is
    what its headers say beside.
    """

    status = 429
    type = "rate_limit_error"
    code = "rate_limited"
    transient = True

    def __init__(
        self, message: str, *, retry_after: float | None = None, window: str = "", quota: Quota | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.window = window
        self.quota: Quota = quota or {}


class QuotaExhausted(RateLimited):
    """A day's limit of the model is used up (429): no further call to it is possible today."""

    code = "quota_exhausted"
    transient = False
    ends = Ends.MODEL


class ApiUnavailable(CepoError):
    """The API answered 5xx, 408, 409 or 425."""

    status = 503
    code = "api_unavailable"
    transient = True


class ApiUnreachable(CepoError):
    """No connection, or one that broke."""

    status = 502
    code = "api_unreachable"
    transient = True


class ApiTimeout(CepoError):
    """A call took longer than it may."""

    status = 504
    type = "timeout_error"
    code = "api_timeout"
    transient = True


class UnwritableCall(CepoError):
    """A call that cannot be written as JSON; it never left. What comes from clients and models is checked before."""

    code = "unwritable_call"


class UnusableReply(CepoError):
    """The API answered 200 with something that is no completion."""

    status = 502
    code = "unusable_reply"
    transient = True


# What the whole request met.


class StreamBroken(CepoError):
    """A reply that was already being handed on to the client broke off; it cannot be begun anew."""

    status = 502
    code = "stream_broken"
    ends = Ends.REQUEST
    discards_answers = True


class NoAnswer(CepoError):
    """Every way to an answer failed."""

    status = 502
    code = "no_answer"


class DeadlineExceeded(CepoError):
    """The request's time is over."""

    status = 504
    type = "timeout_error"
    code = "deadline_exceeded"
    ends = Ends.REQUEST


class OutOfTime(CepoError):
    """What is left of the request's time is kept for steps that are needed more; those still go on."""

    status = 504
    type = "timeout_error"
    code = "out_of_time"


class OutOfBudget(CepoError):
    """What is left of the request's calls or tokens is not enough for this call; others may still go on."""

    status = 422
    type = "invalid_request_error"
    code = "out_of_budget"


class Ended(CepoError):
    """The request ended while this call was about to start; nobody waits for its reply."""

    code = "ended"
    ends = Ends.REQUEST
    discards_answers = True
