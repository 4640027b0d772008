"""Flask hooks around OptiLLM's routes: they validate our requests before OptiLLM reads them, and convert its errors.

OptiLLM reads a body before it calls a plugin. It answers some invalid bodies with a page of HTML (content that is not a
string), an empty list of choices (`n: 0`) or its own import error (no key). OptiLLM 0.3 gives plugins no messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any

import flask

from optillm_cerebras_cepo.core.errors import BadRequest, CepoError
from optillm_cerebras_cepo.host import SLUG, configuration, optillm, responses
from optillm_cerebras_cepo.host.execution import defect, request_observer
from optillm_cerebras_cepo.host.optillm import APPROACH_FIELD
from optillm_cerebras_cepo.host.request import IncomingRequest, incoming_request, parse_request, set_incoming_request
from optillm_cerebras_cepo.host.responses import BodyTooLarge, HostError, WrongClientKey

MAX_BODY = 16 * 2**20  # bytes; far more text than any model reads


def register() -> None:
    """Add the hooks to OptiLLM's application; adding them again changes nothing."""
    optillm.add_hooks(_validate_chat, _convert_error)


def before_chat(validate: Callable[[], None]) -> flask.Response | None:
    """Run `validate` if the current request is a chat completion; return the response for the error that it raises."""
    if flask.request.path != optillm.CHAT_PATH or flask.request.method != "POST":
        return None
    try:
        validate()
    except CepoError as error:
        failure = error
    except Exception as error:  # Flask would log its message, which may quote the request
        failure = defect(error)
    else:
        return None
    if observer := request_observer():
        observer.on_end(failure)
    return responses.error_response(failure)


def _validate_chat() -> flask.Response | None:
    return before_chat(_validate)


def _convert_error(response: flask.Response) -> flask.Response:
    is_ours = optillm.server_config().approach == SLUG or incoming_request() is not None
    return in_openai_format(response) if is_ours else response


def in_openai_format(response: flask.Response) -> flask.Response:
    """Return an error in OpenAI's format: OptiLLM's own is a string under `error`, or a page of HTML."""
    body = response.get_json(silent=True) if response.status_code >= 400 else None
    message = body.get("error") if isinstance(body, dict) else None
    if response.status_code < 400 or isinstance(message, dict):
        return response
    status = response.status_code
    if status == 401 or _is_undecodable_key():
        error: CepoError = WrongClientKey(
            "the key of this request is not the server's client key; send that as `Authorization: Bearer …`"
        )
        status = error.status
    else:
        text = message if isinstance(message, str) else _reason(response)
        error = BadRequest(text) if status < 500 else HostError(text)
    converted = responses.error_response(error)
    converted.status_code = status
    converted.headers.extend((name, value) for name, value in response.headers if name.lower() == "allow")
    return converted


def _reason(response: flask.Response) -> str:
    """Return what a page of HTML says."""
    if response.status_code == 404:
        return f"Not found. Chat: POST {optillm.CHAT_PATH}. Base URL: {flask.request.host_url}v1"
    if response.status_code == 405:
        allowed = response.headers.get("allow", "another one")
        return f"method {flask.request.method} is not allowed for {flask.request.path}; use {allowed}"
    return f"OptiLLM answers {response.status}"


def _is_undecodable_key() -> bool:
    """Return whether OptiLLM has failed to compare the client's key: it compares ASCII only."""
    is_checked = optillm.server_config().optillm_api_key and flask.request.path != "/health"
    return bool(is_checked) and not flask.request.headers.get("authorization", "").isascii()


def _validate() -> None:
    """Set the record of a request for our plugin; leave all other requests alone.

    Flask keeps the parsed body, so OptiLLM reads it with the changes that are made here.
    """
    is_default = optillm.server_config().approach == SLUG
    if is_default:
        _check_size()
    body = json_body()
    if not isinstance(body, dict):
        if is_default:
            raise not_an_object()
        return
    if is_default:
        _check_approach(body)
    operation, approaches = optillm.selected_approaches(body)
    if operation == "SINGLE":
        approaches = approaches[:1]
    if SLUG not in approaches:
        return
    _check_size()
    configuration.check_no_local_model()
    configuration.cerebras_key()
    configuration.check_connection()
    if operation != "SINGLE":
        _check_known(approaches, APPROACH_FIELD if APPROACH_FIELD in body else "model")
    _check_encodable(body)
    for name in [name for name, value in body.items() if value is None]:
        del body[name]  # null means that a field is not given, but OptiLLM reads its value
    if not isinstance(body.get("model", ""), str):
        raise BadRequest("model must be a string", param="model")
    parsed = parse_request({"n": optillm.server_config().n, **body})
    _replace_null_content(body["messages"])
    makes_reply = operation == "SINGLE" and not optillm.batches_requests()
    if makes_reply:
        body["n"] = 1  # we make all answers in one run; OptiLLM would run us n times (server.py:538)
    # In an AND combination each approach gets the answer of the one before it. With n > 1 OptiLLM repeats the list.
    firsts = [index == 0 or operation != "AND" for index, name in enumerate(approaches) if name == SLUG]
    set_incoming_request(IncomingRequest(parsed, makes_reply, cycle(firsts)))


def json_body() -> object:
    """Return the parsed body of the current request, always the same object; None if it is not JSON."""
    try:
        return flask.request.get_json(silent=True)
    except RecursionError:  # Flask does not treat it as a bad request
        return None


def not_an_object() -> BadRequest:
    """Return the error for a body that is not a JSON object."""
    if flask.request.is_json:
        try:
            json.loads(flask.request.get_data())
        except json.JSONDecodeError as error:
            return BadRequest(f"invalid JSON at line {error.lineno}, column {error.colno}")
        except (ValueError, RecursionError):  # not in a Unicode encoding, or nested too deeply
            return BadRequest("the body is not valid JSON")
    return BadRequest("the body must be a JSON object with messages, and its content-type application/json")


def _replace_null_content(messages: Sequence[dict[str, Any]]) -> None:
    """Replace null by the empty string: OptiLLM 0.3 needs strings, also in a message that calls tools."""
    for message in messages:
        if message.get("content") is None:
            message["content"] = ""
        for part in message["content"] if isinstance(message["content"], list) else ():
            if part["type"] == "text" and part["text"] is None:
                part["text"] = ""


def _check_approach(body: dict[str, Any]) -> None:
    """Refuse an unknown approach: OptiLLM would read it as part of the model's name, and send it to the API."""
    named = body.get(APPROACH_FIELD, optillm.AUTO)
    if named is None:
        del body[APPROACH_FIELD]
    elif not isinstance(named, str):
        raise BadRequest(f"{APPROACH_FIELD} must be a string", param=APPROACH_FIELD)
    else:
        names = re.split("[&|]", named.partition("-")[0])
        _check_known([name for name in names if name not in (optillm.AUTO, "none")], APPROACH_FIELD)


def _check_known(approaches: Sequence[str], param: str) -> None:
    if "none" in approaches or not optillm.approaches().issuperset(approaches):
        raise BadRequest("OptiLLM has no such approach, or cannot combine it with others", param=param)


def _check_encodable(body: Mapping[str, Any]) -> None:
    """Refuse what Python reads as JSON but cannot be sent on as JSON in UTF-8."""
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError:
        raise BadRequest("the body contains half of a surrogate pair, which is not valid text") from None
    except ValueError:
        raise BadRequest("the body contains NaN or an infinite number, which is not valid JSON") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None


def _check_size() -> None:
    if (flask.request.content_length or 0) > MAX_BODY:
        raise BodyTooLarge(f"the body is larger than {MAX_BODY // 2**20} MiB")
