"""The sidecar's own part of every request: its id, its key, its place in the house, and a line in the log.

What it does not answer itself goes on to OptiLLM's application.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from werkzeug.wrappers import Response

from optillm_cerebras_cepo.errors import BadRequest, CepoError, ModelUnavailable
from optillm_cerebras_cepo.host.launch import Wsgi
from optillm_cerebras_cepo.host.refusals import BodyTooLarge
from optillm_cerebras_cepo.host.reply import error_headers
from optillm_cerebras_cepo.host.served import WATCHER
from optillm_cerebras_cepo.host.work import defect
from optillm_cerebras_cepo.sidecar import logs
from optillm_cerebras_cepo.sidecar.admission import RETRY_AFTER, Admission, stopping
from optillm_cerebras_cepo.sidecar.keys import OPEN, ClientKeys
from optillm_cerebras_cepo.sidecar.metrics import CONTENT_TYPE, Metrics
from optillm_cerebras_cepo.sidecar.names import listed, names
from optillm_cerebras_cepo.sidecar.readiness import Readiness
from optillm_cerebras_cepo.sidecar.refusals import HeadersTooLarge, OriginRefused, ServerFull, UnknownPath, WrongMethod
from optillm_cerebras_cepo.sidecar.visit import Visit

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
READ = ("GET", "HEAD")
KNOWN = {CHAT: ("POST",), MODELS: READ, "/health": READ, "/ready": READ, "/metrics": READ}
PROBES = OPEN | {"/metrics"}  # asked every few seconds: a good answer is no news
UNREAD = "cepo_cerebras.unread"  # in the environ of a request that the server could not read: the status that says why


class Entrance:
    """A WSGI application around OptiLLM's.

    Args:
        inner: OptiLLM's.
        keys: of the clients.
        admission: who may come in.
        metrics: is told of everything.
        readiness: what /ready says.
        wanted: the pinned model as the operator spells it, or several.
        approaches: what is served.

    """

    def __init__(
        self,
        inner: Wsgi,
        *,
        keys: ClientKeys,
        admission: Admission,
        metrics: Metrics,
        readiness: Readiness,
        wanted: Sequence[str],
        approaches: Sequence[str],
    ) -> None:
        self._inner = inner
        self._keys = keys
        self._admission = admission
        self._metrics = metrics
        self._readiness = readiness
        self._wanted = wanted
        self._approaches = approaches

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        visit = Visit(environ, self._metrics)
        environ[WATCHER] = visit

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            visit.status = int(status[:3])
            return start_response(status, [*headers, ("x-request-id", visit.request_id)], exc_info)

        entered = False
        try:
            self._check(environ)
            # Looked at here, and by nobody else: OptiLLM would send one that begins with `sk-` upstream.
            environ.pop("HTTP_AUTHORIZATION", None)
            if visit.path == CHAT:
                self._admission.enter()
                entered = True
            body = self._answer(visit)(environ, start)
        except BaseException as error:  # also SystemExit: the place would be lost, and the client without a reply
            if entered:
                self._admission.leave()
                entered = False
            failure = error if isinstance(error, CepoError) else defect(error)
            visit.ended(failure)
            body = _refusal(failure)(environ, start)
        return _Reply(body, visit, lambda: self._left(visit, entered))

    def wants_body(self, environ: Mapping[str, Any]) -> bool:
        """Whether a request's body will be looked at, by what its headers tell; it is answered in any case."""
        try:
            self._check(environ)
        except CepoError:
            return False
        return str(environ["PATH_INFO"]) == CHAT

    def _check(self, environ: Mapping[str, Any]) -> None:
        """Refuse what is wrong whatever its body is."""
        if UNREAD in environ:
            raise _unread(environ[UNREAD])
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        self._keys.check(path, environ.get("HTTP_AUTHORIZATION", ""))
        if "HTTP_ORIGIN" in environ and not self._keys and path not in OPEN:
            raise OriginRefused(
                "this server wants no key, and answers no page in a browser; set CEPO_CEREBRAS_CLIENT_KEY on it"
            )
        allowed = READ if path.startswith(f"{MODELS}/") else KNOWN.get(path)
        if allowed is None:
            raise UnknownPath("there is nothing under this address")
        if method not in allowed:
            raise WrongMethod("this address is asked for otherwise", allowed=", ".join(allowed))

    def _answer(self, visit: Visit) -> Wsgi:
        if visit.path == "/ready":
            return self._ready()
        if visit.path == "/metrics":
            return Response(self._metrics.page(), content_type=CONTENT_TYPE)
        if visit.path == MODELS:  # OptiLLM's defect: the_list_of_models_fails
            return _json({"object": "list", "data": [listed(name) for name in self._names()]})
        if visit.path.startswith(f"{MODELS}/"):
            name = visit.path.removeprefix(f"{MODELS}/")
            if name not in self._names():
                raise ModelUnavailable("the server has no model of this name; see /v1/models", param="model")
            return _json(listed(name))
        return self._inner

    def _ready(self) -> Response:
        state = self._readiness.state
        if not self._admission.open:
            return _json({"status": "not ready", "reason": stopping().message}, 503)
        if state.model is None:
            return _json({"status": "not ready", "reason": state.reason}, 503)
        return _json({"status": "ready", "model": state.model})

    def _names(self) -> list[str]:
        return names(self._readiness.state.model, self._wanted, self._approaches)

    def _left(self, visit: Visit, entered: bool) -> None:
        try:
            path = visit.path if visit.path in KNOWN else "other"
            self._metrics.answered(path, visit.approach, visit.effort, visit.status, visit.seconds)
            if visit.path not in PROBES or visit.status != 200:
                logs.access(visit.line())
        finally:
            if entered:
                self._admission.leave()  # last: a server that stops ends when all have left, and is to have said so


class _Reply:
    """A reply's body, which tells how much was sent and that it is over, whether or not anybody read it to its end."""

    def __init__(self, body: Iterable[bytes], visit: Visit, over: Callable[[], None]) -> None:
        self._body = body
        self._visit = visit
        self._over = over

    def __iter__(self) -> Iterator[bytes]:
        for part in self._body:
            self._visit.sent += len(part)
            yield part
        self._visit.hung_up = False

    def close(self) -> None:
        """The server is done with it."""
        try:
            getattr(self._body, "close", lambda: None)()
        finally:
            self._over()


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


def _refusal(error: CepoError) -> Response:
    response = _json(error.body(), error.status)
    response.headers.update(error_headers(error))
    if isinstance(error, WrongMethod):
        response.headers["allow"] = error.allowed
    return response


def _unread(status: int) -> CepoError:
    """What is said of a request that is no HTTP, or more of it than is read."""
    match status:
        case 413:
            return BodyTooLarge("the body is larger than this server reads")
        case 431:
            return HeadersTooLarge("the headers are larger than this server reads")
        case 500:
            return CepoError("the server failed over this request; its log says where")
        case 503:
            return ServerFull("the server has as much in hand as it takes; try again later", retry_after=RETRY_AFTER)
        case _:
            return BadRequest("this is no HTTP request that the server can read")
