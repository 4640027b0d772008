"""The door: what a request must be before OptiLLM touches it, and what OptiLLM does not tell a plugin.

OptiLLM reads a body before any plugin is asked, and answers what it stumbles over with a page of HTML (content that is
no string), an empty list of choices (`n: 0`) or its own import error (no key). OptiLLM 0.3 also keeps the messages to
itself. So a function of ours runs before its own, for requests that will come to us and for no others.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flask
import optillm.server as server

from optillm_cerebras_cepo.errors import (
    BadConfiguration,
    BadRequest,
    CepoError,
    MissingKey,
)
from optillm_cerebras_cepo.host import api_connection, reply
from optillm_cerebras_cepo.host.asked import Asked, asked_from
from optillm_cerebras_cepo.host.conversation import question_from
from optillm_cerebras_cepo.host.refusals import BodyTooLarge, OfTheHost, WrongClientKey
from optillm_cerebras_cepo.host.work import defect

PATH = "/v1/chat/completions"
NO_OBJECT = "the body must be a JSON object with messages, and its content-type application/json"
LARGEST = 16 * 2**20  # bytes of a body; far more text than any model reads
_ARRIVAL = "cepo_cerebras_arrival"


@dataclass(frozen=True)
class Arrival:
    """A request at the door.

    Attributes:
        asked: what it asks of us.
        text: its conversation as OptiLLM flattens it for a plugin.
        alone: whether ours is the one approach asked for, and not in a batch: then the reply is ours to make.

    """

    asked: Asked
    text: str = field(repr=False)
    alone: bool


def arrival() -> Arrival | None:
    """The arrival of the request that this thread serves; None outside of one, as in OptiLLM's batch mode."""
    return flask.g.get(_ARRIVAL) if flask.has_request_context() else None


def register(slug: str) -> None:
    """Stand at the door of OptiLLM's app for requests that name this approach. Registering again changes nothing."""

    def meet() -> flask.Response | None:
        if flask.request.path != PATH or flask.request.method != "POST":
            return None
        try:
            _meet(slug)
        except CepoError as error:
            return reply.error_response(error)
        except Exception as error:  # Flask would log its message, which may quote the request
            return reply.error_response(defect(error))
        return None

    def part(response: flask.Response) -> flask.Response:
        ours = server.server_config["approach"] == slug or arrival() is not None
        return in_openais_form(response) if ours and response.status_code >= 400 else response

    meet.__name__ = part.__name__ = f"{slug}_intake"
    known = server.app.before_request_funcs.setdefault(None, [])
    if all(function.__name__ != meet.__name__ for function in known):
        server.app.before_request(meet)
        server.app.after_request(part)


def in_openais_form(response: flask.Response) -> flask.Response:
    """What OptiLLM itself says is a string under `error`, or a page of HTML: it knows neither type nor code."""
    body = response.get_json(silent=True)
    said = body.get("error") if isinstance(body, dict) else None
    if isinstance(said, dict):
        return response
    if response.status_code == 401 or _unreadable_key():
        error: CepoError = WrongClientKey(
            "the key of this request is not the one that the server wants; send it as `Authorization: Bearer …`"
        )
        response.status_code = error.status
    else:
        words = said if isinstance(said, str) else f"OptiLLM answers {response.status}"
        error = BadRequest(words) if response.status_code < 500 else OfTheHost(words)
    made = reply.error_response(error)
    made.status_code = response.status_code
    made.headers.extend((name, value) for name, value in response.headers if name.lower() == "allow")
    return made


def _unreadable_key() -> bool:
    """Whether OptiLLM's check of the client's key has failed over it: it compares ASCII only."""
    checked = server.server_config["optillm_api_key"] and flask.request.path != "/health"
    return bool(checked) and not flask.request.headers.get("authorization", "").isascii()


def _meet(slug: str) -> None:
    own = server.server_config["approach"] == slug
    if own:
        _check_size()
    body = parsed()
    if not isinstance(body, dict):
        if own:
            raise BadRequest(NO_OBJECT)
        return
    if own:
        _check_approach(body)
    operation, approaches = _plan_of(body)
    # Of several that are not combined OptiLLM runs the first.
    if slug not in (approaches[:1] if operation == "SINGLE" else approaches):
        return
    _check_size()
    _check_keys()
    api_connection.check()
    if operation != "SINGLE":
        _check_known(approaches, "optillm_approach" if "optillm_approach" in body else "model")
    _check_text(body)
    # Flask keeps the parsed body: what is changed here, OptiLLM finds changed. A null is a field that is not given,
    # which OptiLLM stumbles over, and several answers are one run of ours, not one after the other (server.py:538).
    for name in [name for name, value in body.items() if value is None]:
        del body[name]
    if not isinstance(body.get("model", ""), str):
        raise BadRequest("model must be a text", param="model")
    asked = asked_from({"n": server.server_config["n"], **body}, question_from(body))
    for message in body["messages"]:
        if message.get("content") is None:
            message["content"] = ""  # OptiLLM 0.3 wants one, also of a message that calls tools
        for part in message["content"] if isinstance(message["content"], list) else ():
            if part["type"] == "text" and part["text"] is None:
                part["text"] = ""  # OptiLLM joins the texts
    _, text, _ = server.parse_conversation(body["messages"])
    alone = operation == "SINGLE" and server.request_batcher is None
    if alone:
        body["n"] = 1
    setattr(flask.g, _ARRIVAL, Arrival(asked, text, alone))


def parsed() -> object:
    """The body of the request that this thread serves; None where it is no JSON."""
    try:
        return flask.request.get_json(silent=True)
    except RecursionError:  # which Flask takes for no fault of the body's
        return None


def _check_approach(body: dict[str, Any]) -> None:
    """Refuse what OptiLLM would take for the name of a model: it sends such a request on as it is, and fails."""
    named = body.get("optillm_approach", "auto")
    if named is None:
        del body["optillm_approach"]
    elif not isinstance(named, str):
        raise BadRequest("optillm_approach must be a text", param="optillm_approach")
    else:
        names = re.split("[&|]", named.partition("-")[0])
        _check_known([name for name in names if name not in ("auto", "none")], "optillm_approach")


def _check_known(approaches: Sequence[str], param: str) -> None:
    for name in approaches:
        if name == "none" or (name not in server.known_approaches and name not in server.plugin_approaches):
            raise BadRequest("OptiLLM has no such approach, or cannot combine it with others", param=param)


def _check_text(body: Mapping[str, Any]) -> None:
    """Half a surrogate pair can be written in JSON, and sent nowhere; NaN cannot, but Python reads it."""
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise BadRequest("the body has half a surrogate pair in it, which is no text") from None
    except ValueError:
        raise BadRequest("the body has NaN or an infinite number in it, which is no JSON") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None


def _check_size() -> None:
    if (flask.request.content_length or 0) > LARGEST:
        raise BodyTooLarge(f"the body is larger than {LARGEST // 2**20} MiB")


def _plan_of(body: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Which approaches OptiLLM will run for this body, by its own rules (server.py:811, 829, 834)."""
    try:
        _, _, tag = server.parse_conversation(body.get("messages", []))
    except (TypeError, AttributeError, KeyError):
        tag = None  # messages that OptiLLM cannot read name no approach
    approach = tag or body.get("optillm_approach", server.server_config["approach"])
    model = str(body.get("model", server.server_config["model"]))
    named = model if approach == "auto" else f"{approach}-{model}"
    operation, approaches, _ = server.parse_combined_approach(named, server.known_approaches, server.plugin_approaches)
    return operation, approaches


def _check_keys() -> None:
    if os.environ.get("OPTILLM_API_KEY"):
        raise BadConfiguration(
            "OPTILLM_API_KEY makes OptiLLM serve a local model instead of Cerebras; unset it on the server "
            "(clients' keys are checked with --optillm-api-key)"
        )
    key = os.environ.get("CEREBRAS_API_KEY")
    if not key:
        raise MissingKey("the server has no Cerebras key; set CEREBRAS_API_KEY in its environment and restart it")
    if not re.fullmatch(r"[!-~]+", key):  # no header can hold it, and the libraries' errors would show it
        raise BadConfiguration("CEREBRAS_API_KEY has a character that no key has: a space, or the end of a line")
