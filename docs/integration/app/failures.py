"""What goes wrong, in OpenAI's shape and with its own status; neither a key nor a prompt is in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from typing import Any

import openai
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

ANSWERED_BY = "x-answered-by"
REQUEST_ID = "x-request-id"
ADVICE = ("retry-after", "x-should-retry")  # headers that tell a client whether to come again, and when
CODE = re.compile(r"[a-z_]{1,64}")  # what a code looks like, and a key does not

log = logging.getLogger(__name__)


class Failed(Exception):
    """A call that was not answered.

    Attributes:
        by: who was asked.
        status: HTTP's; 502 for nobody there, 504 for nothing said in time.
        body: OpenAI's error object.
        headers: advice for the client.

    """

    def __init__(self, by: str, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(by, status)
        self.by = by
        self.status = status
        self.body = body
        self.headers = headers or {}

    @property
    def is_outage(self) -> bool:
        """Whether it is the fault of who was asked. A 4xx is the question's, and a 429 that of the account."""
        return self.status >= 500


def failed(by: str, error: openai.APIError) -> Failed:
    """The client library's exception as ours."""
    if isinstance(error, openai.APITimeoutError):
        return Failed(by, 504, said(f"{by} did not answer in time", "timeout"))
    if not isinstance(error, openai.APIStatusError):
        return Failed(by, 502, said(f"{by} cannot be reached", "unreachable"))
    response = error.response
    advice = {name: response.headers[name] for name in ADVICE if name in response.headers}
    return Failed(by, error.status_code, _passed_on(by, error), advice)


def said(message: str, code: str | None, kind: str = "upstream_error", param: str | None = None) -> dict[str, Any]:
    """An error as OpenAI's clients read it."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _passed_on(by: str, error: openai.APIStatusError) -> Mapping[str, Any]:
    """The sidecar's own words, which quote nothing; of anybody else's, which may quote the prompt, the code alone."""
    try:
        body = error.response.json()
    except json.JSONDecodeError:  # a proxy's page
        body = None
    if by == "sidecar" and isinstance(body, dict) and isinstance(body.get("error"), dict):
        return body
    code = str(error.code)
    return said(f"{by} answered {error.status_code}", code if CODE.fullmatch(code) else None)


async def tell_failure(request: Request, error: Failed) -> JSONResponse:
    """The handler for `Failed`."""
    request_id = request.state.request_id
    log.warning("%s refused by %s with %d", request_id, error.by, error.status)
    headers = {**error.headers, ANSWERED_BY: error.by, REQUEST_ID: request_id}
    return JSONResponse(error.body, error.status, headers)


async def tell_bad_request(_: Request, error: RequestValidationError) -> JSONResponse:
    """The handler for a body that is no question: what is wrong, without the value, which FastAPI would quote."""
    first = error.errors()[0]
    param = ".".join(map(str, first["loc"][1:])) or None
    return JSONResponse(said(first["msg"], "invalid_request", "invalid_request_error", param), 400)


async def tell_defect(_: Request, __: Exception) -> JSONResponse:
    """The handler for everything else."""
    return JSONResponse(said("the backend failed", "internal_error", "server_error"), 500)
