"""The HTTP side: routes, keys, and the way of one chat completion through schema, limits, script and latency."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from . import completion, models, problems, tokens
from .admission import Accepted, accept, parse
from .answers import DEFAULT_TEXT, Answer, Script
from .asked import read_call
from .delivery import Delivery
from .faults import REFUSALS, REPLIES, Chance
from .hold import Hold
from .latency import Sampler
from .ledger import CLIENT_GONE, Ledger
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

    def __init__(self, options: SimulatorOptions, ledger: Ledger, hold: Hold) -> None:
        self._options = options
        self._ledger = ledger
        self._hold = hold
        self._models = models.served(options.models)
        self._script = Script(options.rules)
        self._lists = iter(options.lists)
        self._chance = Chance(options.faults)
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
        for scripted in self._lists:
            if scripted is None:
                await asyncio.Event().wait()
            else:
                return _send(scripted, {})
        return web.json_response({"object": "list", "data": [model.entry() for model in self._models.values()]})

    async def _list_public_models(self, _request: web.Request, _number: int) -> web.StreamResponse:
        tier = self._options.tier
        return web.json_response(
            {"object": "list", "data": [model.public_entry(tier) for model in self._models.values()]}
        )

    async def _chat(self, request: web.Request, number: int) -> web.StreamResponse:
        body = await self._read(request, number)
        accepted = accept(body, self._models, self._options.tier, self._options.validation_status)
        self._check_fields(accepted.request, body)
        answer = self._admitted(accepted, number)
        self._ledger.amend(number, kind=answer.kind)
        if answer.reply is not None:
            await asyncio.sleep(self._sampler.draw(0, answer.latency).total / self._options.time_scale)
            if answer.held:
                await self._hold.wait(number)
            self._ledger.close(number, answer.reply.status, answer.reply.code)
            return _send(answer.reply, self._limit_headers(number))
        done = completion.complete(accepted, answer)
        timing = self._sampler.draw(done.completion_tokens, answer.latency).scaled(self._options.time_scale)
        if done.fault == "hang":
            with self._hold.stalling(number):
                await asyncio.Event().wait()
        whole = not accepted.request.stream
        if timing.total > 0 and (whole or done.fault in ("close", "reset")):
            await asyncio.sleep(timing.total)
        if answer.held and whole:
            await self._hold.wait(number)
        delivery = Delivery(
            request,
            number,
            self._ledger,
            self._limit_headers(number),
            self._options.time_scale,
            self._hold,
            held=answer.held,
        )
        if done.fault in ("close", "reset"):
            return delivery.drop(reset=done.fault == "reset")
        return await (delivery.whole(done, timing) if whole else delivery.stream(done, timing))

    def _check_fields(self, request: ChatCompletionServerRequest, body: Mapping[str, Any]) -> None:
        """Refuse what this API does not take, as the recorded texts say it. Raises Refused."""
        status, most = self._options.validation_status, self._options.max_temperature
        for name in self._options.unsupported:
            if body.get(name) is not None:
                raise Refused(problems.unsupported([f"body.{name}"], status))
        if request.temperature is not None and request.temperature > most:
            raise Refused(problems.invalid([("temperature", problems.at_most(most))], status))

    def _admitted(self, accepted: Accepted, number: int) -> Answer:
        """Admit the call, and say what it is answered with. Raises Refused, and then nothing is charged."""
        drawn = self._chance.draw()
        rule = self._script.match(accepted.request)
        fault = drawn or (None if rule is None else self._script.fault(rule))
        if fault is not None and fault in REFUSALS:
            if not drawn and rule is not None:
                self._script.answer(rule)
            raise Refused(REFUSALS[fault])
        self._admit(accepted, number)
        if drawn is not None and drawn in REPLIES:
            return Answer("", reply=REPLIES[drawn])
        if rule is not None:
            answer = self._script.answer(rule)
        else:
            answer = self._simulate(accepted.request) or Answer(DEFAULT_TEXT)
        return dataclasses.replace(answer, fault=fault, reply=REPLIES.get(fault or "", answer.reply))

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
