"""The door of a closed OptiLLM: what is chosen is served, and whoever asks is given one client, ours.

It stands before the door that our plugin has on any OptiLLM (`intake`), which then finds the choice made.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection
from functools import cache
from typing import Any

import flask
import optillm.server as server

from optillm_cerebras_cepo.errors import BadRequest, CepoError, MissingKey
from optillm_cerebras_cepo.host import api_connection, intake, reply
from optillm_cerebras_cepo.host.choice import FIELD, choose
from optillm_cerebras_cepo.host.plugin import SLUG
from optillm_cerebras_cepo.host.served import watcher
from optillm_cerebras_cepo.host.work import defect
from optillm_cerebras_cepo.llm.sdk import plain_client
from optillm_cerebras_cepo.llm.tls import Tls

EFFORT = "cepo_cerebras_effort"
VALUES = 200_000  # in a body, keys among them; a conversation of ten thousand messages has half as many
UNCOUNTED = 2**18  # bytes that have no more values than that
_extract = server.extract_optillm_approach
_making = threading.Lock()


def close(*, served: Collection[str], known: Collection[str], by_message: bool) -> None:
    """Let requests to OptiLLM's app choose among `served` only, and messages only where `by_message` says so."""
    server.get_config = _config
    # parse_conversation and whoever else reads a tag looks this up (server.py:657): the choice is made here, once.
    server.extract_optillm_approach = (lambda text: (_extract(text)[0], None)) if by_message else _as_text

    def choosing() -> flask.Response | None:
        if flask.request.path != intake.PATH or flask.request.method != "POST":
            return None
        try:
            _choose(served, known, by_message)
        except CepoError as error:
            return reply.error_response(error)
        except Exception as error:  # Flask would log its message, which may quote the request
            return reply.error_response(defect(error))
        return None

    def in_form(response: flask.Response) -> flask.Response:
        return intake.in_openais_form(response) if response.status_code >= 400 else response

    server.app.before_request_funcs.setdefault(None, []).insert(0, choosing)
    server.app.after_request(in_form)


def _choose(served: Collection[str], known: Collection[str], by_message: bool) -> None:
    if flask.request.is_json:
        _check_values(flask.request.get_data())
    body = intake.parsed()
    if not isinstance(body, dict):
        raise BadRequest(intake.NO_OBJECT)
    model = body.get("model")
    if not isinstance(model, str | None):
        raise BadRequest("model must be a text", param="model")
    chosen = choose(
        model or "",
        body.get(FIELD),
        tag=_tag(body.get("messages")) if by_message else None,
        standing=server.server_config["approach"],
        served=served,
        known=known,
    )
    if chosen.approach == "none":
        _direct(body)
    if who := watcher():
        who.chose(chosen.approach)
    # Flask keeps the parsed body: what is changed here, OptiLLM finds changed.
    body[FIELD] = SLUG if chosen.approach == "none" else chosen.approach
    if model is not None:
        body["model"] = chosen.model


def _check_values(data: bytes) -> None:
    """Refuse what would take fifty times its size in memory, and seconds, before anybody could look at it."""
    if b"\0" in data:  # Python reads UTF-16 and UTF-32 too, where what is counted here means something else
        raise BadRequest("the body must be JSON in UTF-8")
    if len(data) <= UNCOUNTED:
        return
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")  # every quote that is left begins or ends a text
    outside = plain.split(b'"')[::2] if plain.count(b'"') <= 2 * VALUES else None
    if outside is None or sum(part.count(mark) for part in outside for mark in (b",", b":", b"[", b"{")) > VALUES:
        raise BadRequest(f"the body has more than {VALUES:,} values in it")


def _direct(body: dict[str, Any]) -> None:
    """OptiLLM's `none` is one call through a client of its own; ours has the pace, the pin, and errors that say why."""
    if body.get(EFFORT) not in (None, "none"):
        raise BadRequest(f"`none` is a direct call: leave {EFFORT} out", param=EFFORT)
    body[EFFORT] = "none"


def _tag(messages: object) -> str | None:
    """The approach that the first tag in the conversation names."""
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        texts = [content] if isinstance(content, str) else content if isinstance(content, list) else []
        for part in texts:
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(text, str) and (approach := _extract(text)[1]):
                return str(approach)
    return None


def _as_text(text: str) -> tuple[str, None]:
    return text, None


def _config() -> tuple[Any, str]:
    """OptiLLM's get_config makes a client anew for each request, with a call to warm it up."""
    key = os.environ.get("CEREBRAS_API_KEY")
    if not key:
        raise MissingKey("the server has no Cerebras key; set CEREBRAS_API_KEY in its environment and restart it")
    with _making:  # each takes some 30 ms to make, and a hundred may be the first
        return _client(server.server_config["base_url"], key, api_connection.tls_settings()), key


@cache
def _client(base_url: str, key: str, settings: Tls) -> Any:
    return plain_client(base_url, key, settings)
