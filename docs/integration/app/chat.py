"""POST /chat: the two layers, whole or streamed."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import AsyncGenerator, Coroutine
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from app.cepo_service import Answer, CepoService, Layer, Question
from app.failures import ANSWERED_BY, REQUEST_ID

Result = TypeVar("Result")

ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
CLIENT_GONE = 499

log = logging.getLogger(__name__)
router = APIRouter()


def _unicode(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell
        raise ValueError("this is no Unicode text") from None
    return text


class Message(BaseModel):
    """A turn of the conversation. The system's is not the client's to write."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    content: Annotated[str, AfterValidator(_unicode)]


class Chat(BaseModel):
    """The body of a request."""

    model_config = ConfigDict(extra="forbid")

    messages: Annotated[list[Message], Field(min_length=1)]
    layer: Layer = "speed"
    stream: bool = False


def service(request: Request) -> CepoService:
    """The one that main.py has made."""
    found: CepoService = request.app.state.service
    return found


@router.post("/chat")
async def chat(body: Chat, request: Request, cepo: Annotated[CepoService, Depends(service)]) -> Response:
    """Answer with a chat.completion, or its chunks as server-sent events; `x-answered-by` says whose it is."""
    began = time.monotonic()
    given = request.headers.get(REQUEST_ID, "")
    request.state.request_id = request_id = given if ID.fullmatch(given) else uuid.uuid4().hex
    question = Question(
        body.layer,
        [{"role": message.role, "content": message.content} for message in body.messages],  # type: ignore[misc]
        body.stream,
        request_id,
    )
    answer = await unless_gone(request, cepo.answer(question))
    by = answer.by if answer else "nobody: the client has left"
    log.info("%s %s answered by %s after %.2f s", request_id, body.layer, by, time.monotonic() - began)
    if answer is None:
        return Response(status_code=CLIENT_GONE)
    headers = {ANSWERED_BY: answer.by, REQUEST_ID: request_id}
    if body.stream:
        return Relay(answer, cepo.lines(answer), headers)
    return Response(answer.response.content, media_type="application/json", headers=headers)


class Relay(StreamingResponse):
    """A stream passed on. However it ends, and also if it never began, the call behind it is closed."""

    def __init__(self, answer: Answer, lines: Any, headers: dict[str, str]) -> None:
        quick = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # proxies hold nothing back
        super().__init__(lines, media_type="text/event-stream", headers=headers | quick)
        self._answer = answer
        self._lines: AsyncGenerator[str, None] = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._lines.aclose()
            await self._answer.response.aclose()


async def unless_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result | None:
    """Do the work; stop it, and with it the sidecar's, when the client hangs up: FastAPI would work on."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
