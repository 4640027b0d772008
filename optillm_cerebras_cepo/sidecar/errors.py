"""Errors of requests that the sidecar refuses before OptiLLM sees them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from optillm_cerebras_cepo.core.errors import BadRequest, CepoError, ErrorScope


class HeadersTooLarge(BadRequest, status=431, code="headers_too_large"):
    """The request's headers exceed the server's limit."""


class UnknownPath(BadRequest, status=404, code="unknown_path"):
    """The server does not serve this path."""


class WrongMethod(BadRequest, status=405, code="wrong_method"):
    """The path does not support this method; `allowed` is the value of the Allow header."""

    def __init__(self, message: str, *, allowed: str = "") -> None:
        super().__init__(message)
        self.allowed = allowed


class OriginRefused(BadRequest, status=403, type="permission_error", code="origin_refused"):
    """A browser request to a server without client keys: any web page could send it in its visitor's name."""


class ServerFull(CepoError, status=503, type="server_error", code="server_full", retryable=True):
    """All slots or all memory for bodies are in use. No API call was made for this request."""


class ShuttingDown(
    CepoError,
    status=503,
    type="server_error",
    code="shutting_down",
    scope=ErrorScope.REQUEST,
    discards_answers=True,
):
    """The server is shutting down; another one, or this one after a restart, may answer."""

    @property
    def client_may_retry(self) -> bool:
        """Always true: a retry reaches another process."""
        return True


def server_full() -> ServerFull:
    """Return the error for a request that finds no free slot or memory; about 5 s later there may be one."""
    return ServerFull("The server is at capacity. Retry later.", retry_after=5.0)


def shutting_down() -> ShuttingDown:
    """Return the error for a request that a stopping server does not finish."""
    return ShuttingDown("The server is shutting down. Retry.", retry_after=1.0)


def unknown_path(base_url: str | None) -> UnknownPath:
    """Return the error for a path that is not served: it names the one that clients look for."""
    return UnknownPath("Not found. Chat: POST /v1/chat/completions." + (f" Base URL: {base_url}" if base_url else ""))


def wrong_method(method: str, path: str, allowed: Sequence[str]) -> WrongMethod:
    """Return the error for a method that a path does not support; an unusual method is not quoted."""
    name = f"Method {method}" if re.fullmatch("[A-Z]{1,20}", method) else "This method"
    message = f"{name} is not allowed for {path}; use {' or '.join(allowed)}."
    return WrongMethod(message, allowed=", ".join(allowed))
