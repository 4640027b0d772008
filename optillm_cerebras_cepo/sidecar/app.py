"""WSGI application around OptiLLM's: request ids, client keys, slots, the access log, and the sidecar's own paths."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from optillm_cerebras_cepo.core.errors import BadRequest, CepoError, ModelUnavailable
from optillm_cerebras_cepo.host.bootstrap import Wsgi
from optillm_cerebras_cepo.host.execution import REQUEST_OBSERVER, defect
from optillm_cerebras_cepo.host.optillm import single_version
from optillm_cerebras_cepo.host.responses import BodyTooLarge, error_headers
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.sidecar import errors
from optillm_cerebras_cepo.sidecar.admission import PROBE_PATHS, ClientKeys, RequestSlots
from optillm_cerebras_cepo.sidecar.origins import HOST, refuse_browsers, refuse_other_pages
from optillm_cerebras_cepo.sidecar.readiness import Readiness
from optillm_cerebras_cepo.sidecar.request_record import CONTENT_TYPE, Metrics, RequestRecord

if TYPE_CHECKING:  # its packages need not be installed
    from optillm_cerebras_cepo.sidecar.page import Page

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
WARMING = "/v1/tcp_warming"  # the Cerebras SDK asks for it when a client is made, and ignores the answer
READ = ("GET", "HEAD")
METHODS = {CHAT: ("POST",), MODELS: READ, WARMING: READ, "/health": READ, "/ready": READ, "/metrics": READ}
POLLED_PATHS = PROBE_PATHS | {"/metrics", WARMING}  # a 200 here is not logged
READ_ERROR = "cepo_cerebras.read_error"  # environ: the status for a request that could not be read
access_logger = logging.getLogger("optillm_cerebras_cepo.access")


@dataclass(frozen=True)
class SidecarApp:
    """The application; `inner` is OptiLLM's, `wanted` the pinned model (or several) as the operator spells it."""

    inner: Wsgi
    keys: ClientKeys
    slots: RequestSlots
    metrics: Metrics
    readiness: Readiness
    wanted: Sequence[str]
    approaches: Sequence[str]
    page: Page | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        environ["PATH_INFO"] = _path(environ)
        record = RequestRecord(environ, self.metrics, self.page.traces if self.page else None)
        environ[REQUEST_OBSERVER] = record
        more = [("x-request-id", record.request_id), *(self.page.headers(record.path) if self.page else ())]

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            record.status = int(status[:3])
            return start_response(status, [*headers, *more], exc_info)

        has_slot = False
        try:
            self._check(environ)
            # OptiLLM would send a key that begins with `sk-` to the API.
            environ.pop("HTTP_AUTHORIZATION", None)
            if record.path == CHAT:
                self.slots.acquire()
                has_slot = True
            body = self._route(record)(environ, start)
        except BaseException as error:  # also SystemExit: the slot must be released, and the client answered
            if has_slot:
                self.slots.release()
                has_slot = False
            failure = error if isinstance(error, CepoError) else defect(error)
            record.on_end(failure)
            body = _error_response(failure)(environ, start)
        return _Body(body, record, lambda: record.close(lambda: self._finish(record, has_slot)))

    def wants_body(self, environ: Mapping[str, Any]) -> bool:
        """Return whether a request's body will be used, from its headers. Without it, it is answered all the same."""
        path = _path(environ)
        try:
            self._check({**environ, "PATH_INFO": path})
        except CepoError:
            return False
        return path == CHAT or (self.page is not None and self.page.reads_body(path))

    def _check(self, environ: Mapping[str, Any]) -> None:
        """Raise a CepoError if the request is refused whatever its body."""
        if READ_ERROR in environ:
            raise _read_error(environ[READ_ERROR])
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        is_public = path in PROBE_PATHS or (self.page is not None and self.page.is_public(path))
        if not is_public:
            self.keys.check(path, environ.get("HTTP_AUTHORIZATION", ""))
        if not is_public and not self.keys:
            self._check_origin(environ, path)
        allowed = self._methods(path)
        if allowed is None:
            raise errors.unknown_path(_base_url(environ))
        if method not in allowed:
            raise errors.wrong_method(method, f"{MODELS}/MODEL" if path.startswith(f"{MODELS}/") else path, allowed)

    def _check_origin(self, environ: Mapping[str, Any], path: str) -> None:
        """Raise OriginRefused if a page that is not ours may have sent this request. No client keys are set."""
        if self.page is None:
            refuse_browsers(environ)
        elif "HTTP_ORIGIN" in environ or self._is_of_page(path):
            refuse_other_pages(environ)

    def _methods(self, path: str) -> Sequence[str] | None:
        """Return the methods of a path; None if it is not served."""
        allowed = READ if path.startswith(f"{MODELS}/") else METHODS.get(path)
        return self.page.methods(path) if self.page and allowed is None else allowed

    def _is_of_page(self, path: str) -> bool:
        return self.page is not None and self.page.methods(path) is not None

    def _route(self, record: RequestRecord) -> Wsgi:
        if self.page and self._is_of_page(record.path):
            return self.page
        if record.path == "/ready":
            return self._ready()
        if record.path == "/metrics":
            return Response(self.metrics.render(), content_type=CONTENT_TYPE)
        if record.path == WARMING:
            return Response()
        if record.path == MODELS:  # OptiLLM's defect: the_list_of_models_fails
            return _json({"object": "list", "data": [model_entry(name) for name in self._model_names()]})
        if record.path.startswith(f"{MODELS}/"):
            name = record.path.removeprefix(f"{MODELS}/")
            if name not in self._model_names():
                raise ModelUnavailable("The server has no model of this name. See /v1/models.", param="model")
            return _json(model_entry(name))
        return self.inner

    def _ready(self) -> Response:
        state = self.readiness.state
        if self.slots.closed:
            return _json({"status": "not ready", "reason": errors.shutting_down().message}, 503)
        if state.model is None:
            return _json({"status": "not ready", "reason": state.reason}, 503)
        return _json({"status": "ready", "model": state.model})

    def _model_names(self) -> list[str]:
        return model_names(self.readiness.state.model, self.wanted, self.approaches)

    def _finish(self, record: RequestRecord, has_slot: bool) -> None:
        try:
            record.note_hang_up()
            path = "page" if self._is_of_page(record.path) else record.path if record.path in METHODS else "other"
            self.metrics.count_response(path, record.approach, record.effort, record.status, record.seconds)
            if path == CHAT and record.error:
                self.metrics.count_error(*record.error)
            if record.path not in POLLED_PATHS or record.status != 200:
                access_logger.info("request", extra=record.log_fields())
        finally:
            if has_slot:
                self.slots.release()  # last: a stopping server ends as soon as all slots are free


@dataclass(frozen=True)
class _Body:
    """A response's body that counts its bytes and calls `on_close`, even if nobody has read it to the end."""

    body: Iterable[bytes]
    record: RequestRecord
    on_close: Callable[[], None]

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self.body:
                self.record.sent_bytes += len(part)
                yield part
        except GeneratorExit:  # the server could not send the part
            raise
        except BaseException:
            self.record.hung_up = False
            raise
        self.record.hung_up = False

    def close(self) -> None:
        try:
            getattr(self.body, "close", lambda: None)()
        finally:
            self.on_close()


def _path(environ: Mapping[str, Any]) -> str:
    return single_version(str(environ["PATH_INFO"]))


def _base_url(environ: Mapping[str, Any]) -> str | None:
    """Return the base URL for OpenAI's clients, from the Host header; None if that is not a valid `host[:port]`."""
    host = str(environ.get("HTTP_HOST", ""))
    return f"{environ.get('wsgi.url_scheme', 'http')}://{host}/v1" if HOST.fullmatch(host) else None


def model_names(served: str | None, wanted: Sequence[str], approaches: Collection[str]) -> list[str]:
    """Return the names of the pinned model, each plain and with each approach as a prefix.

    The first is `served`, the API's id of the model, if it is known.
    """
    model = served or lookup(wanted[0]).id
    spellings = [name for name in wanted if lookup(name).id == lookup(model).id]
    plain = list(dict.fromkeys([model, lookup(model).id, *spellings]))
    return plain + [f"{approach}-{name}" for approach in approaches for name in plain]


def model_entry(name: str) -> dict[str, Any]:
    """Return one entry of /v1/models, with the fields that OpenAI's clients require."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "cerebras"}


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body), status, content_type="application/json")


def _error_response(error: CepoError) -> Response:
    response = _json(error.body(), error.status)
    response.headers.update(error_headers(error))
    if isinstance(error, errors.WrongMethod):
        response.headers["allow"] = error.allowed
    return response


def _read_error(status: int) -> CepoError:
    """Return the error for a request that could not be read."""
    match status:
        case 413:
            return BodyTooLarge("The request body exceeds the server's limit.")
        case 431:
            return errors.HeadersTooLarge("The request headers exceed the server's limit.")
        case 500:
            return CepoError("Internal server error. The server's log has the details.")
        case 503:
            return errors.server_full()
        case _:
            return BadRequest("This is not a valid HTTP request.")
