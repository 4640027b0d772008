"""The page of `serve --page`: its files, texts as HTML, and the traces of the last requests."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from werkzeug.wrappers import Request, Response

from optillm_cerebras_cepo import web
from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host.responses import BodyTooLarge
from optillm_cerebras_cepo.sidecar.admission import RequestSlots
from optillm_cerebras_cepo.sidecar.errors import UnknownPath
from optillm_cerebras_cepo.trace.page import page as trace_page
from optillm_cerebras_cepo.trace.store import MOST_TRACES, TraceStore
from optillm_cerebras_cepo.web.render import render

ROOT = "/"
RENDER = "/page/render"
REQUESTS = "/page/requests"
ONE_REQUEST = re.compile(rf"{REQUESTS}/([0-9a-f]{{12}})(\.html)?")
READ = ("GET", "HEAD")

KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}  # werkzeug adds the charset
MOST_BODY = 512 * 2**10  # bytes of a text to render, as JSON
MOST_AT_ONCE = 4  # requests for data: each takes a thread, and the processor for up to 2 s

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    # No script of the page can turn a text into HTML, but by the one function that has this name.
    "require-trusted-types-for": "'script'",
    "trusted-types": "rendered",
}
HEADERS = [
    ("content-security-policy", "; ".join(f"{name} {value}" for name, value in POLICY.items())),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
]


class Page:
    """The WSGI application of the page's paths; `traces` has those of the last requests."""

    def __init__(self, traces: TraceStore) -> None:
        self.traces = traces
        self._files = dict(_files())
        self._slots = RequestSlots(MOST_AT_ONCE)

    def methods(self, path: str) -> tuple[str, ...] | None:
        """Return the methods of a path; None if it is not one of the page's."""
        if path == RENDER:
            return ("POST",)
        return READ if self.is_public(path) or path == REQUESTS or ONE_REQUEST.fullmatch(path) else None

    def is_public(self, path: str) -> bool:
        """Return whether a path contains no data, and needs no client key."""
        return path in self._files

    def reads_body(self, path: str) -> bool:
        """Return whether a request for this path has a body."""
        return path == RENDER

    def headers(self, path: str) -> Sequence[tuple[str, str]]:
        """Return further headers of all responses on a path, of errors as well."""
        return HEADERS if self.methods(path) else ()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request for one of the paths, with one of its methods. Raises a CepoError if there is no answer."""
        return self._response(environ)(environ, start_response)

    def _response(self, environ: dict[str, Any]) -> Response:
        path = environ["PATH_INFO"]
        if file := self._files.get(path):
            return Response(file[0], mimetype=file[1])
        self._slots.acquire()
        try:
            if path == RENDER:
                return _rendered(Request(environ))
            if wanted := ONE_REQUEST.fullmatch(path):
                return self._trace(wanted[1], as_page=bool(wanted[2]))
            traces = itertools.islice(self.traces.latest(), MOST_TRACES)
            return _json({"requests": [summary(trace) for trace in traces]})
        finally:
            self._slots.release()

    def _trace(self, wanted: str, *, as_page: bool) -> Response:
        found = self.traces.get(wanted)
        if found is None:
            raise UnknownPath("The trace of this request is not stored any more.")
        if not as_page:
            return _json(found)
        response = Response(trace_page(found), mimetype=KINDS[".html"])
        # It has inline styles, and is never a document of this origin.
        response.headers["content-disposition"] = f'attachment; filename="trace-{wanted}.html"'
        return response


def summary(trace: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the list of requests shows of a trace: no text of a client or a model."""
    ours = trace.get("cepo_cerebras") or {}
    named = ("effort", "model", "calls", "prompt_tokens", "completion_tokens", "cost")
    return {
        **{name: trace[name] for name in ("id", "request_id", "started", "seconds", "status")},
        **{name: ours.get(name) for name in named},
        "error": (trace.get("error") or {}).get("code"),
    }


def _rendered(request: Request) -> Response:
    if (request.content_length or 0) > MOST_BODY:
        raise BodyTooLarge(f"A text to render has at most {MOST_BODY:,} bytes.")
    try:
        body = json.loads(request.get_data()) if request.is_json else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not isinstance(body.get("text"), str):
        raise BadRequest('The body must be a JSON object {"text": "…"}, with content-type application/json.')
    return _json({"html": render(body["text"])})


def _files() -> Iterator[tuple[str, tuple[bytes, str]]]:
    """Yield the page's files by path, each with its content type."""
    for file in (resources.files(web) / "static").iterdir():
        kind = KINDS.get(f".{file.name.rpartition('.')[2]}")
        if kind:
            yield (ROOT if file.name == "index.html" else f"/page/{file.name}"), (file.read_bytes(), kind)


def _json(body: Mapping[str, Any]) -> Response:
    return Response(json.dumps(body), content_type="application/json")
