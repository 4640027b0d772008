"""The library `openai`, its asyncio client. See talk.py for its input."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
from talk import EFFORT, KEY, MODEL, QUESTION, TOOLS, Heard, base_url, failure, reply_of, report, serve, wait

STREAM = {"stream": True, "stream_options": {"include_usage": True}}


class Program:
    """One method for each scenario; made inside the event loop that its client uses."""

    def __init__(self) -> None:
        self._client = openai.AsyncOpenAI(base_url=base_url(), api_key=KEY)
        self._create: Any = self._client.chat.completions.create

    async def ask(self) -> None:
        """A question, with a field of ours."""
        report(**reply_of((await self._create(model=MODEL, messages=QUESTION, extra_body=EFFORT)).model_dump()))

    async def raw(self) -> None:
        """A question, with the response's headers; then a stream, likewise."""
        create: Any = self._client.chat.completions.with_raw_response.create
        response = await create(model=MODEL, messages=QUESTION, extra_body=EFFORT)
        streaming = await create(model=MODEL, messages=QUESTION, extra_body=EFFORT, **STREAM)
        report(
            status=response.status_code,
            type=response.headers["content-type"],
            reply=reply_of(response.parse().model_dump()),
            stream_type=streaming.headers["content-type"],
            stream=await self._heard(streaming.parse()),
        )

    async def stream(self) -> None:
        """A stream with its usage."""
        report(**await self._heard(await self._create(model=MODEL, messages=QUESTION, **STREAM)))

    async def tool(self) -> None:
        """A tool call."""
        report(**reply_of((await self._create(model=MODEL, messages=QUESTION, tools=TOOLS)).model_dump()))

    async def tool_stream(self) -> None:
        """A tool call in pieces."""
        report(**await self._heard(await self._create(model=MODEL, messages=QUESTION, tools=TOOLS, **STREAM)))

    async def bad_request(self) -> None:
        """A parameter that is refused."""
        try:
            await self._create(model=MODEL, messages=QUESTION, logprobs=True)
        except openai.APIError as error:
            report(**failure(error))

    async def rate_limit(self) -> None:
        """An API without room, and the library's own retries on."""
        try:
            await self._create(model=MODEL, messages=QUESTION)
        except openai.APIError as error:
            report(**failure(error))

    async def stream_error(self) -> None:
        """A stream that ends with an error instead of an answer."""
        try:
            await self._heard(await self._create(model=MODEL, messages=QUESTION, **STREAM))
        except openai.APIError as error:
            report(**failure(error))

    async def cancel(self) -> None:
        """Close a stream after its first chunk."""
        answer = await self._create(model=MODEL, messages=QUESTION, **STREAM)
        report(first=(await anext(answer)).model_dump())
        await asyncio.to_thread(wait)
        await answer.close()
        report(cancelled=True)
        await asyncio.to_thread(wait)

    async def cancel_task(self) -> None:
        """Cancel the task that reads a stream, after its first chunk."""
        first = asyncio.Event()

        async def read() -> None:
            async for chunk in await self._create(model=MODEL, messages=QUESTION, **STREAM):
                if not first.is_set():
                    report(first=chunk.model_dump())
                    first.set()

        task = asyncio.create_task(read())
        await first.wait()
        await asyncio.to_thread(wait)
        task.cancel()
        await asyncio.wait([task])
        report(cancelled=task.cancelled())
        await asyncio.to_thread(wait)

    async def _heard(self, stream: Any) -> dict[str, Any]:
        whole = Heard()
        async for chunk in stream:
            whole.add(chunk.model_dump())
        return whole.found()


async def run(scenario: str) -> None:
    """Run one."""
    await getattr(Program(), scenario)()


serve(lambda scenario: asyncio.run(run(scenario)))
