"""The HTTP side: routes, keys, and the way of one chat completion through schema, limits, script and latency."""

from __future__ import annotations

import asyncio
import itertools
import json
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from . import completion, models, problems, tokens
from .admission import Accepted, accept, parse
from .answers import DEFAULT_TEXT, Answer, Script
from .asked import read_call
from .completion import Completed
from .latency import Sampler, Timing
from .ledger import CLIENT_GONE, NO_ANSWER, Ledger
from .limits import Limiter
from .options import SimulatorOptions
from .problems import Refused, Reply
from .schema import ChatCompletionServerRequest
from .statistical import StatisticalModel

MAX_BODY = 16 * 1024 * 1024
"""The largest request body, in bytes. [assumed]"""

WARMING_PATH = "/v1/tcp_warming"
LEDGER_PATH = "/simulator/calls"

_Handler = Callable[[web.Request, int], Awaitable[web.StreamResponse]]


class Api:
    """The simulated API for one event loop; `application()` is what aiohttp serves."""

    def __init__(self, options: SimulatorOptions, ledger: Ledger) -> None:
        self._options = options
        self._ledger = ledger
        self._models = models.served(options.models)
        self._script = Script(options.rules)
        self._statistical = StatisticalModel(options.statistics) if options.statistics else None
        self._sampler = Sampler(options.latency)
        self._limiter = Limiter(
            options.limits, lambda: options.clock() * options.time_scale, options.time_scale, options.limit_headers
        )
        self._connections: weakref.WeakKeyDictionary[asyncio.Transport, int] = weakref.WeakKeyDictionary()
        self._connection_numbers = itertools.count(1)
        self._routes: dict[tuple[str, str], _Handler] = {
            ("GET", "/v1/models"): self._list_models,
            ("GET", "/public/v1/models"): self._list_public_models,
            ("POST", "/v1/chat/completions"): self._chat,
        }

    def application(self) -> web.Application:
        """The aiohttp application. One route takes everything, so that unknown paths too get the API's style."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        route = (request.method, request.path)
        if route == ("GET", LEDGER_PATH):
            return web.json_response(self._ledger.export())
        if route == ("DELETE", LEDGER_PATH):
            return web.json_response({"cleared": self._ledger.clear()})
        if route == ("GET", WARMING_PATH):
            # The SDK asks this when a client is made and looks at nothing in the answer. [assumed: empty, no key]
            self._ledger.count_warming()
            return web.Response()
        number = self._ledger.open(request.method, request.path, request.headers, self._connection(request))
        try:
            handler = self._routes.get(route)
            if handler is None:
                raise Refused(problems.unknown_path(request.method, request.path))
            response = await handler(request, number)
        except Refused as refused:
            self._ledger.close(number, refused.reply.status, refused.reply.code)
            return _send(refused.reply, self._limit_headers(number))
        except (asyncio.CancelledError, ConnectionError):
            self._ledger.close(number, CLIENT_GONE)
            raise
        except BaseException:
            self._ledger.close(number, 500)
            raise
        # Closed before the answer goes out: a client that has it finds its call complete in the ledger.
        self._ledger.close(number, response.status)
        return response

    async def _list_models(self, request: web.Request, _number: int) -> web.StreamResponse:
        self._check_key(request)
        return web.json_response({"object": "list", "data": [model.entry() for model in self._models.values()]})

    async def _list_public_models(self, _request: web.Request, _number: int) -> web.StreamResponse:
        tier = self._options.tier
        return web.json_response(
            {"object": "list", "data": [model.public_entry(tier) for model in self._models.values()]}
        )

    async def _chat(self, request: web.Request, number: int) -> web.StreamResponse:
        body = await self._read(request, number)
        accepted = accept(body, self._models, self._options.tier, self._options.validation_status)
        self._admit(accepted, number)
        answer = self._script.answer(accepted.request) or self._simulate(accepted.request) or Answer(DEFAULT_TEXT)
        self._ledger.amend(number, kind=answer.kind)
        if answer.reply is not None:
            await asyncio.sleep(self._sampler.draw(0, answer.latency).total / self._options.time_scale)
            self._ledger.close(number, answer.reply.status, answer.reply.code)
            return _send(answer.reply, self._limit_headers(number))
        done = completion.complete(accepted, answer)
        timing = self._sampler.draw(done.completion_tokens, answer.latency).scaled(self._options.time_scale)
        if done.fault == "close":
            await asyncio.sleep(timing.total)
            return self._drop(request, number)
        if accepted.request.stream:
            return await self._stream(request, number, done, timing)
        if timing.total > 0:
            await asyncio.sleep(timing.total)
        payload = json.dumps(completion.body(done, timing)).encode()
        if done.fault == "cut":
            return await self._cut(request, number, payload)
        self._account(number, done)
        return web.Response(body=payload, content_type="application/json", headers=self._limit_headers(number))

    def _simulate(self, request: ChatCompletionServerRequest) -> Answer | None:
        """The statistical mode's answer, if it is on and the call is about one of its questions."""
        if self._statistical is None:
            return None
        try:
            asked = read_call([{"role": item.role, "content": tokens.plain(item.content)} for item in request.messages])
        except ValueError as error:
            raise Refused(problems.invalid([("messages", str(error))], self._options.validation_status)) from None
        return Answer(self._statistical.reply(asked, request.model), kind=asked.kind.value) if asked else None

    async def _read(self, request: web.Request, number: int) -> Any:
        """The parsed body; recorded before the key is looked at, so that the ledger shows refused calls whole."""
        status = self._options.validation_status
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refused(problems.body_too_large(MAX_BODY)) from None
        problem: Reply | None = None
        body: Any = None
        try:
            body = parse(raw)
        except ValueError as error:
            problem = problems.malformed(f"Request body is not valid JSON: {error}", status)
        self._ledger.amend(number, body=body)
        self._check_key(request)
        if problem is not None:
            raise Refused(problem)
        return body

    def _check_key(self, request: web.Request) -> None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Refused(problems.not_authenticated())
        if not self._options.accepts(key.strip()):
            raise Refused(problems.wrong_key())

    def _admit(self, accepted: Accepted, number: int) -> None:
        """Capacity first: a call that the queue refuses is not charged."""
        most = self._options.max_in_flight
        if most is not None and self._ledger.in_flight >= most:
            raise Refused(problems.queue_exceeded())
        self._limiter.admit(accepted.model.id, accepted.charge)
        self._ledger.admit(number, accepted.charge)

    async def _stream(self, request: web.Request, number: int, done: Completed, timing: Timing) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", **self._limit_headers(number)}
        response = web.StreamResponse(headers=headers)
        await asyncio.sleep(timing.prompt)
        await response.prepare(request)
        chunks = completion.chunks(done)
        for position, chunk in enumerate(chunks):
            if done.fault == "cut" and position >= len(chunks) / 2:
                return self._drop(request, number)
            await response.write(completion.event(chunk))
            if timing.completion > 0:
                await asyncio.sleep(timing.completion / len(chunks))
        await response.write(completion.event(completion.last_chunk(done, timing)))
        self._account(number, done)
        self._ledger.close(number, response.status)
        await response.write(completion.DONE)
        await response.write_eof()
        return response

    async def _cut(self, request: web.Request, number: int, payload: bytes) -> web.StreamResponse:
        """Promise the whole body, send half of it and hang up."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(payload)
        await response.prepare(request)
        await response.write(payload[: len(payload) // 2])
        return self._drop(request, number)

    def _drop(self, request: web.Request, number: int) -> web.StreamResponse:
        self._ledger.close(number, NO_ANSWER)
        if request.transport is not None:
            # close() lets what was written go out first, abort() would throw it away.
            request.transport.close()
        return web.Response()

    def _account(self, number: int, done: Completed) -> None:
        self._ledger.amend(number, prompt_tokens=done.prompt_tokens, completion_tokens=done.completion_tokens)

    def _limit_headers(self, number: int) -> dict[str, str]:
        """The rate limit headers of the model that the call names, if it is served here."""
        body = self._ledger.body_of(number)
        model = body.get("model") if isinstance(body, dict) else None
        return self._limiter.headers(model) if isinstance(model, str) and model in self._models else {}

    def _connection(self, request: web.Request) -> int:
        transport = request.transport
        if transport is None:  # the client hung up already
            return next(self._connection_numbers)
        if transport not in self._connections:
            self._connections[transport] = next(self._connection_numbers)
        return self._connections[transport]


def _send(reply: Reply, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=reply.status,
        body=reply.payload,
        headers={**headers, "Content-Type": reply.media_type, **reply.headers},
    )
