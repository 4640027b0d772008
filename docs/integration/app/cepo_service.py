"""The service: one question in, one answer out, from the sidecar or, while it cannot, from Cerebras itself.

Both are asked with OpenAI's client, the direct way too: Cerebras speaks the same protocol, so there is one library, one
set of exceptions and one kind of stream, and who asks need not know which way was taken.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import openai
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout
from openai.types.chat import ChatCompletionMessageParam

from app.circuit import Circuit
from app.failures import REQUEST_ID, Failed, failed, said
from app.readiness import Readiness
from app.settings import Settings

Layer = Literal["speed", "reasoning"]
Way = Literal["sidecar", "cerebras"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        layer: `speed` is one call, `reasoning` is CePO.
        messages: the conversation, without a system prompt: that is the backend's.
        stream: whether the answer is read while it is made.
        request_id: names the question in every log.

    """

    layer: Layer
    messages: Sequence[ChatCompletionMessageParam]
    stream: bool
    request_id: str


@dataclass(frozen=True)
class Answer:
    """Who answered, and the response: read to its end, or, of a stream, not begun; then it is the holder's to close."""

    by: Way
    response: httpx2.Response


class CepoService:
    """Answers questions. Make it once, and let `running` stand around its use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        url = str(settings.cepo_url).rstrip("/")
        self._http = DefaultAsyncHttpxClient(trust_env=False)  # a neighbour: no proxy is on the way
        # No retries here: the sidecar has tried every single call again already, and a question that is put to it once
        # more is all of its calls once more, while those of the first time may still be running.
        self._sidecar = AsyncOpenAI(
            base_url=f"{url}/v1",
            api_key=settings.cepo_client_key.get_secret_value() or "none",
            max_retries=0,
            http_client=self._http,
        )
        # Below a direct call there is nobody who tries again.
        self._cerebras = AsyncOpenAI(
            base_url=str(settings.cerebras_base_url).rstrip("/").removesuffix("/v1") + "/v1",
            api_key=settings.cerebras_api_key.get_secret_value(),
            max_retries=1,
        )
        self._circuit = Circuit(settings.circuit_failures, settings.circuit_seconds)
        self._readiness = Readiness(self._http, url, settings.ready_seconds, settings.ready_timeout)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look after the sidecar meanwhile, and hang up on everybody afterwards."""
        watching = asyncio.create_task(self._readiness.watch())
        try:
            async with self._sidecar, self._cerebras:
                yield
        finally:
            watching.cancel()

    @property
    def state(self) -> dict[str, str]:
        """How the sidecar seems to be."""
        return {"sidecar": "ready" if self._readiness.ready else "not ready", "circuit": self._circuit.state}

    async def answer(self, question: Question) -> Answer:
        """Ask the sidecar; ask Cerebras where the sidecar is not ready, has failed too often, or fails now.

        Raises:
            Failed: neither has answered, or the question itself is refused.

        """
        if self._readiness.ready and not self._circuit.opened:
            try:
                with self._circuit:
                    return await self._through_sidecar(question)
            except Failed as failure:
                if not failure.is_outage:
                    raise
                log.warning("%s the sidecar failed with %d", question.request_id, failure.status)
        return await self._directly(question)

    async def lines(self, answer: Answer) -> AsyncIterator[str]:
        """The lines of a stream, as they come. One that breaks ends with an error: it is not begun again elsewhere."""
        circuit: AbstractContextManager[object] = self._circuit if answer.by == "sidecar" else nullcontext()
        try:
            with circuit:
                try:
                    async for line in answer.response.aiter_lines():
                        yield f"{line}\n"
                except httpx2.HTTPError as error:
                    raise Failed(answer.by, 502, said(f"the answer of {answer.by} broke off", "broken")) from error
        except Failed as failure:
            yield f"\ndata: {json.dumps(failure.body)}\n\n"  # the empty line ends an event that was cut in two

    async def _through_sidecar(self, question: Question) -> Answer:
        settings = self._settings
        if question.layer == "speed":
            seconds = settings.speed_timeout
            parameters: dict[str, Any] = {
                "max_tokens": settings.speed_max_tokens,
                # The deadline bounds a stream too, in which something is said every 5 s.
                "extra_body": {"cepo_cerebras_effort": "none", "cepo_cerebras_deadline": seconds},
            }
        else:
            effort = settings.reasoning_effort
            parameters = {"extra_body": {"cepo_cerebras_effort": effort}} if effort else {}
            seconds = settings.stream_timeout if question.stream else settings.reasoning_timeout
        return await self._ask("sidecar", self._sidecar, question, seconds, parameters)

    async def _directly(self, question: Question) -> Answer:
        settings = self._settings
        most = settings.speed_max_tokens if question.layer == "speed" else settings.direct_max_tokens
        return await self._ask(
            "cerebras", self._cerebras, question, settings.speed_timeout, {"max_completion_tokens": most}
        )

    async def _ask(
        self, by: Way, client: AsyncOpenAI, question: Question, seconds: float, parameters: dict[str, Any]
    ) -> Answer:
        try:
            raw = await client.chat.completions.with_raw_response.create(
                model=self._settings.cerebras_model,
                messages=[{"role": "system", "content": self._settings.identity_prompt}, *question.messages],
                stream=question.stream,
                timeout=Timeout(seconds, connect=self._settings.connect_timeout),
                extra_headers={REQUEST_ID: question.request_id},
                **parameters,
            )
        except openai.APIError as error:
            raise failed(by, error) from None  # its message may quote the question
        return Answer(by, raw.http_response)
