"""Error replies of the API, each marked [recorded] (in public reports of the real API) or [assumed]."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

Unit = Literal["minute", "hour", "day"]


@dataclass(frozen=True)
class Reply:
    """An HTTP reply that is sent verbatim: an error, the HTML page of a gateway, an invalid body.

    A string body is sent as text, anything else as JSON. `content_type` defaults to text/plain or application/json.
    Raise ValueError for an invalid status.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    status: int = 200
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError(f"status must be an HTTP status from 200 to 599, not {self.status}")

    @property
    def payload(self) -> bytes:
        """The encoded body."""
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()

    @property
    def media_type(self) -> str:
        """The content type."""
        return self.content_type or ("text/plain" if isinstance(self.body, str) else "application/json")

    @property
    def code(self) -> str:
        """The body's machine-readable `code`, or an empty string."""
        return str(self.body.get("code", "")) if isinstance(self.body, Mapping) else ""


class Refused(Exception):
    """A request that the API refuses; `reply` is the error reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status, reply.body)
        self.reply = reply


def _flat(status: int, message: str, kind: str, param: str, code: str, **extra: str) -> Reply:
    return Reply(status, {"message": message, "type": kind, "param": param, "code": code, **extra})


def not_authenticated() -> Reply:
    """[recorded] No `Authorization: Bearer …` header."""
    return Reply(403, {"detail": "Not authenticated"})


def wrong_key() -> Reply:
    """[recorded] An unknown key."""
    return _flat(401, "Wrong API Key", "invalid_request_error", "api_key", "wrong_api_key")


def model_not_found(model: str) -> Reply:
    """[recorded] A model that is retired, misspelled or not available to this account."""
    message = f"Model {model} does not exist or you do not have access to it."
    return _flat(404, message, "not_found_error", "model", "model_not_found")


def unknown_path(method: str, path: str) -> Reply:
    """[assumed] An unknown path."""
    return _flat(404, f"Unknown request URL: {method} {path}", "not_found_error", "url", "not_found")


def body_too_large(limit: int) -> Reply:
    """A request body above the size limit in bytes. The status is documented, the body [assumed]."""
    message = f"Request body is larger than {limit} bytes"
    return _flat(413, message, "invalid_request_error", "body", "request_too_large")


def unsupported(paths: Sequence[str], status: int) -> Reply:
    """[recorded] Unknown properties, by path; the message has one line for each.

    Recorded for a property of a message (`messages.2.assistant.reasoning_content`) and of the body (`body.maxTokens`).
    """
    message = "\n".join(f"{path}: property '{path}' is unsupported" for path in paths)
    return _flat(status, message, "invalid_request_error", "validation_error", "wrong_api_format")


def invalid(errors: Sequence[tuple[str, str]], status: int) -> Reply:
    """Invalid values, as pairs of path and explanation. The format is [recorded], most explanations are [assumed].

    The format is pydantic's, with the indentation of the recorded replies.
    """
    plural = "" if len(errors) == 1 else "s"
    lines = [f"{len(errors)} validation error{plural} for ChatCompletionServerRequest"]
    lines += [f"{path}\n {explanation}" if path else f" {explanation}" for path, explanation in errors]
    return _flat(status, "\n".join(lines), "invalid_request_error", "validation_error", "wrong_api_format", id="")


def at_most(number: float) -> str:
    """Return pydantic's explanation of a number above its maximum."""
    return f"Input should be less than or equal to {number:g} [type=less_than_equal, input_type=float]"


def effort_level(levels: Sequence[str], sent: str, status: int) -> Reply:
    """An unsupported level of reasoning_effort. [recorded] for `none`, [assumed] for other levels."""
    names = [f"'{level}'" for level in levels]
    allowed = " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    text = f"Input should be {allowed} [type=enum, input_value='{sent}', input_type=str]"
    link = "For further information visit https://errors.pydantic.dev/2.8/v/enum"
    return invalid([("reasoning_effort", f"{text}\n {link}")], status)


def not_for_model(param: str, model: str, status: int) -> Reply:
    """[assumed] A field that this model does not support."""
    message = f"{param} is not supported by model {model}"
    return _flat(status, message, "invalid_request_error", param, "wrong_api_format")


def malformed(reason: str, status: int) -> Reply:
    """[assumed] A body that is not a JSON object."""
    return _flat(status, reason, "invalid_request_error", "validation_error", "wrong_api_format")


def context_length_exceeded(length: int, limit: int) -> Reply:
    """Input and reserved output tokens exceed the context. The text is [recorded], the code [assumed]."""
    message = (
        f"Please reduce the length of the messages or completion. Current length is {length} while limit is {limit}"
    )
    return _flat(400, message, "invalid_request_error", "messages", "context_length_exceeded")


def request_quota_exceeded(unit: Unit = "minute") -> Reply:
    """Too many requests in a window. [recorded] for the minute, [assumed] for other units."""
    message = f"Requests per {unit} limit exceeded - too many requests sent."
    return _flat(429, message, "too_many_requests_error", "quota", "request_quota_exceeded")


def token_quota_exceeded(unit: Unit = "minute", *, uncached: bool = False) -> Reply:
    """Too many tokens in a window, named only in the text. [recorded] for minute and day, else [assumed]."""
    message = f"{'Uncached tokens' if uncached else 'Tokens'} per {unit} limit exceeded - too many tokens processed."
    return _flat(429, message, "too_many_tokens_error", "quota", "token_quota_exceeded")


def queue_exceeded() -> Reply:
    """No capacity, regardless of the quota. Text and code are [recorded], type and param [assumed]."""
    message = "We're experiencing high traffic right now! Please try again soon."
    return _flat(429, message, "too_many_requests_error", "queue", "queue_exceeded")


def internal_error() -> Reply:
    """[assumed] An internal error of the API."""
    return _flat(500, "Encountered a server error, please try again.", "server_error", "", "internal_error")


def unavailable() -> Reply:
    """[assumed] The API is temporarily unavailable."""
    return _flat(503, "Service temporarily unavailable.", "server_error", "", "service_unavailable")


def gateway_page(status: int = 403) -> Reply:
    """The HTML page of a gateway in front of the API. Such replies are reported, the page is [assumed]."""
    page = f"<html><head><title>{status}</title></head><body>Request blocked</body></html>"
    return Reply(status, page, content_type="text/html")
