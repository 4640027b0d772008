"""HTTP routes of the simulated API, and the steps of a chat completion: validation, limits, answer, latency."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import weakref
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from . import completion, models, problems
from .answers import DEFAULT_TEXT, Answer, Script, rated
from .call_log import CLIENT_GONE, CallLog
from .delivery import Delivery
from .faults import REFUSALS, REPLIES, FaultSampler
from .held_calls import HeldCalls
from .latency import Sampler
from .limits import Limiter
from .options import SimulatorOptions
from .prefix_cache import PrefixCache
from .problems import Refused, Reply
from .schema import ChatCompletionServerRequest
from .validation import ValidRequest, parse, validate

MAX_BODY = 16 * 1024 * 1024
"""Largest request body in bytes. [assumed]"""

WARMING_PATH = "/v1/tcp_warming"
CALL_LOG_PATH = "/simulator/calls"

_Handler = Callable[[web.Request, int], Awaitable[web.StreamResponse]]


class Api:
    """The simulated API, for one event loop."""

    def __init__(self, options: SimulatorOptions, call_log: CallLog, held_calls: HeldCalls) -> None:
        self._options = options
        self._call_log = call_log
        self._held_calls = held_calls
        self._models = models.models_by_id(options.models)
        self._script = Script(options.rules)
        self._model_lists = iter(options.lists)
        self._fault_sampler = FaultSampler(options.faults)
        self._sampler = Sampler(options.latency)
        self._prefix_cache = PrefixCache()
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
        """Return the aiohttp application. Its only route handles all paths, so that unknown ones get API errors."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        route = (request.method, request.path)
        if route == ("GET", CALL_LOG_PATH):
            return web.json_response(self._call_log.export())
        if route == ("DELETE", CALL_LOG_PATH):
            return web.json_response({"cleared": self._call_log.clear()})
        if route == ("GET", WARMING_PATH):
            # The SDK requests this when a client is created, and ignores the reply. [assumed: empty, no key needed]
            self._call_log.count_warming()
            return web.Response()
        number = self._call_log.open(request.method, request.path, request.headers, self._connection(request))
        try:
            handler = self._routes.get(route)
            if handler is None:
                raise Refused(problems.unknown_path(request.method, request.path))
            response = await handler(request, number)
        except Refused as refused:
            self._call_log.close(number, refused.reply.status, refused.reply.code)
            return _send(refused.reply, self._limit_headers(number))
        except (asyncio.CancelledError, ConnectionError):
            self._call_log.close(number, CLIENT_GONE)
            raise
        except BaseException:
            self._call_log.close(number, 500)
            raise
        # Closed before the reply is sent, so that a client with the reply finds its call complete in the log.
        self._call_log.close(number, response.status)
        return response

    async def _list_models(self, request: web.Request, _number: int) -> web.StreamResponse:
        self._check_key(request)
        for scripted in self._model_lists:
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
        valid = validate(body, self._models, self._options.tier, self._options.validation_status)
        self._check_queue_threshold(request)
        valid = dataclasses.replace(valid, cached=self._prefix_cache.cached_tokens(valid.model.id, valid.request))
        self._check_fields(valid.request, body)
        answer = self._answer(valid, number)
        self._call_log.amend(number, label=answer.label)
        if answer.reply is not None:
            await asyncio.sleep(self._sampler.draw(0, answer.latency).total / self._options.time_scale)
            if answer.held:
                await self._held_calls.wait(number)
            self._call_log.close(number, answer.reply.status, answer.reply.code)
            return _send(answer.reply, self._limit_headers(number))
        done = completion.complete(valid, answer)
        if valid.request.service_tier == "auto" and (call := self._call_log.find(number)):
            done = dataclasses.replace(done, tier_used=call.tier)
        timing = self._sampler.draw(done.completion_tokens, answer.latency).scaled(self._options.time_scale)
        if done.fault == "hang":
            with self._held_calls.stalling(number):
                await asyncio.Event().wait()
        streamed = bool(valid.request.stream)
        if timing.total > 0 and (not streamed or done.fault in ("close", "reset")):
            await asyncio.sleep(timing.total)
        if done.held and not streamed:
            await self._held_calls.wait(number)
        headers, time_scale = self._limit_headers(number), self._options.time_scale
        delivery = Delivery(request, number, self._call_log, headers, time_scale, self._held_calls)
        if done.fault in ("close", "reset"):
            return delivery.drop(reset=done.fault == "reset")
        return await (delivery.stream(done, timing) if streamed else delivery.whole(done, timing))

    def _check_fields(self, request: ChatCompletionServerRequest, body: Mapping[str, Any]) -> None:
        """Raise Refused for fields and temperatures that this API does not support."""
        status, highest = self._options.validation_status, self._options.max_temperature
        for name in self._options.unsupported:
            if body.get(name) is not None:
                raise Refused(problems.unsupported([f"body.{name}"], status))
        if request.temperature is not None and request.temperature > highest:
            raise Refused(problems.invalid([("temperature", problems.at_most(highest))], status))

    def _check_queue_threshold(self, request: web.Request) -> None:
        """Raise Refused for a header `queue_threshold` that is no number from 50 to 20,000 [assumed: with 400]."""
        value = request.headers.get("queue_threshold")
        if value is not None and not (value.isdecimal() and 50 <= int(value) <= 20_000):
            text = "Input should be between 50 and 20000"
            raise Refused(problems.invalid([("queue_threshold", text)], self._options.validation_status))

    def _answer(self, valid: ValidRequest, number: int) -> Answer:
        """Admit the call and return its answer, or raise Refused and charge nothing."""
        drawn = self._fault_sampler.draw()
        rule = self._script.match(valid.request)
        fault = drawn or (None if rule is None else self._script.fault(rule))
        if fault is not None and fault in REFUSALS:
            if not drawn and rule is not None:
                self._script.answer(rule)
            raise Refused(REFUSALS[fault])
        self._admit(valid, number)
        if drawn is not None and drawn in REPLIES:
            return Answer("", reply=REPLIES[drawn])
        answer = self._respond(valid.request) if rule is None else self._script.answer(rule)
        answer = rated(answer, valid.request)
        return dataclasses.replace(answer, fault=fault, reply=REPLIES.get(fault or "", answer.reply))

    def _respond(self, request: ChatCompletionServerRequest) -> Answer:
        try:
            answer = self._options.responder(request) if self._options.responder else None
        except ValueError as error:
            raise Refused(problems.invalid([("messages", str(error))], self._options.validation_status)) from None
        return answer or Answer(DEFAULT_TEXT)

    async def _read(self, request: web.Request, number: int) -> Any:
        """Return the parsed body. Logged before the key is checked, so that the log has the bodies of refused calls."""
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
        self._call_log.amend(number, body=body)
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

    def _admit(self, valid: ValidRequest, number: int) -> None:
        # Capacity is checked first, so that a call refused for it is not charged.
        capacity = self._options.max_in_flight
        if capacity is not None and self._call_log.in_flight >= capacity:
            raise Refused(problems.queue_exceeded())
        tier = self._limiter.admit(valid.model.id, valid.charge, valid.cached, valid.request.service_tier)
        self._prefix_cache.add(valid.model.id, valid.request)
        self._call_log.admit(number, valid.charge, valid.cached, tier)

    def _limit_headers(self, number: int) -> dict[str, str]:
        """Return the rate-limit headers of the requested model, none for an unknown model."""
        call = self._call_log.find(number)
        if call is None or not isinstance(call.body, dict):
            return {}
        model, tier = call.body.get("model"), call.tier or call.body.get("service_tier")
        return self._limiter.headers(model, tier == "flex") if isinstance(model, str) and model in self._models else {}

    def _connection(self, request: web.Request) -> int:
        transport = request.transport
        if transport is None:  # the client has disconnected
            return next(self._connection_numbers)
        if transport not in self._connections:
            self._connections[transport] = next(self._connection_numbers)
        return self._connections[transport]


def _send(reply: Reply, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        status=reply.status, body=reply.payload, headers={**headers, "Content-Type": reply.media_type, **reply.headers}
    )
