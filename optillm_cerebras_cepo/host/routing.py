"""Choice of the approach if only some are served, as in the sidecar; OptiLLM alone runs whatever a request names.

The hook of this file runs before the hook of `hooks.py`, which then finds the choice in the body.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

import flask

from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host import SLUG, configuration, hooks, optillm
from optillm_cerebras_cepo.host.execution import request_observer
from optillm_cerebras_cepo.host.optillm import APPROACH_FIELD, AUTO
from optillm_cerebras_cepo.llm.connection import TlsSettings
from optillm_cerebras_cepo.llm.sdk import plain_client

EFFORT = "cepo_cerebras_effort"
MAX_VALUES = 200_000  # in a body, including keys; a conversation of ten thousand messages has half as many
UNCOUNTED = 2**18  # bytes: a body of this size cannot have more values than that
_client_lock = threading.Lock()


@dataclass(frozen=True)
class Choice:
    """The chosen approach, or several joined by `&` or `|`, and the model's name without its prefix of approaches."""

    approach: str
    model: str


def choose(
    model: str, named: object, *, tag: str | None, default: str, served: Collection[str], known: Collection[str]
) -> Choice:
    """Choose the approach: of the tag, else of the field, else of the model's prefix, else the default.

    Args:
        model: the model's name in the request, maybe with a prefix, as in `none-llama3.3-70b`.
        named: the body's `optillm_approach`, or None.
        tag: the approach that a tag in a message names, where tags may choose.
        default: the server's own approach.
        served: the approaches that may be chosen.
        known: all approaches of OptiLLM: they are not part of a model's name, whether or not they are served.

    Raises:
        BadRequest: one of the named approaches is not served, whether or not it would be chosen; `param` names the
            field.

    """
    if not isinstance(named, str | None):
        raise BadRequest(f"{APPROACH_FIELD} must be a string", param=APPROACH_FIELD)
    field = None if named == AUTO else named
    prefix, name = _split_model(model, known)
    for approach in prefix:
        _check_served(approach, served, "model")
    if tag is not None:
        _check_served(tag, served, "messages")
    if field is not None:
        _check_served(field, served, APPROACH_FIELD)
    return Choice(tag or field or next(iter(prefix), default), name)


def _split_model(model: str, known: Collection[str]) -> tuple[list[str], str]:
    """Split a model's name at its prefix of approaches, as OptiLLM's parse_combined_approach does."""
    parts = model.split("-")
    count = 0
    while count < len(parts) and (parts[count] in known or re.search("[&|]", parts[count])):
        count += 1
    return parts[:count], "-".join(parts[count:])


def _check_served(approach: str, served: Collection[str], param: str) -> None:
    """Raise BadRequest for an approach that is not served; the message does not quote it, for it may be any text.

    A combination must not repeat an approach, which would multiply the request's cost, nor have both signs, of which
    OptiLLM reads one.
    """
    names = re.split("[&|]", approach)
    is_valid = "none" not in names and len(set(names)) == len(names) and not {"&", "|"} <= set(approach)
    if any(name not in served for name in names) or (len(names) > 1 and not is_valid):
        choice = ", ".join(sorted(served))
        raise BadRequest(f"this server does not serve that approach; it serves {choice}", param=param)


def restrict(*, served: Collection[str], known: Collection[str], by_message: bool) -> None:
    """Let requests to OptiLLM choose among `served` only, with a tag in a message only if `by_message`."""
    optillm.take_over(_client_and_key, remove_tags=by_message)

    def choose_approach() -> flask.Response | None:
        return hooks.before_chat(lambda: _choose_for_request(served, known, by_message))

    optillm.add_hooks(choose_approach, hooks.in_openai_format, first=True)


def _choose_for_request(served: Collection[str], known: Collection[str], by_message: bool) -> None:
    """Write the choice into the body, which Flask keeps and OptiLLM reads."""
    if flask.request.is_json:
        _check_values(flask.request.get_data())
    body = hooks.json_body()
    if not isinstance(body, dict):
        raise hooks.not_an_object()
    model = body.get("model")
    if not isinstance(model, str | None):
        raise BadRequest("model must be a string", param="model")
    choice = choose(
        model or "",
        body.get(APPROACH_FIELD),
        tag=_first_tag(body.get("messages")) if by_message else None,
        default=optillm.server_config().approach,
        served=served,
        known=known,
    )
    if choice.approach == "none":
        # OptiLLM's `none` makes one call with a client of its own: without the rate limiter, the pinned model and
        # retries, and with status 500 for every error. Ours is the effort `none`.
        if body.get(EFFORT) not in (None, "none"):
            raise BadRequest(f"`none` is a direct call: leave {EFFORT} out", param=EFFORT)
        body[EFFORT] = "none"
    if observer := request_observer():
        observer.on_approach(choice.approach)
    body[APPROACH_FIELD] = SLUG if choice.approach == "none" else choice.approach
    if model is not None:
        body["model"] = choice.model


def _check_values(data: bytes) -> None:
    """Refuse a body with so many values that parsing it would take seconds, and fifty times its size in memory."""
    if b"\0" in data:  # UTF-16 or UTF-32, which Python reads, but in which the counts below are wrong
        raise BadRequest("the body must be JSON in UTF-8")
    if len(data) <= UNCOUNTED:
        return
    unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")  # now every quote begins or ends a string
    outside = unescaped.split(b'"')[::2] if unescaped.count(b'"') <= 2 * MAX_VALUES else None
    if outside is None or sum(part.count(mark) for part in outside for mark in (b",", b":", b"[", b"{")) > MAX_VALUES:
        raise BadRequest(f"the body contains more than {MAX_VALUES:,} values")


def _first_tag(messages: object) -> str | None:
    """Return the approach that the first tag in the conversation names."""
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else [{"text": content}]:
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(text, str) and (approach := optillm.tagged_approach(text)):
                return approach
    return None


def _client_and_key() -> tuple[Any, str]:
    """Replace OptiLLM's get_config, which makes a client for each request, and a call to open its connection."""
    key = configuration.cerebras_key()
    with _client_lock:  # making one takes 30 ms, and a hundred requests may need the first at once
        return _client(optillm.server_config().base_url, key, configuration.tls_settings()), key


@cache
def _client(base_url: str, key: str, settings: TlsSettings) -> Any:
    return plain_client(base_url, key, settings)
