"""The plugin's two functions that OptiLLM calls: `register` when it loads the plugin, and `run` for each request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import BadConfiguration, CepoError
from optillm_cerebras_cepo.core.events import Observer
from optillm_cerebras_cepo.host import SLUG, configuration, hooks, optillm, responses, stream
from optillm_cerebras_cepo.host.execution import Execution, Update, current_client, defect, request_observer
from optillm_cerebras_cepo.host.recording import Recording
from optillm_cerebras_cepo.host.request import IncomingRequest, incoming_request, parse_request, question_from_text
from optillm_cerebras_cepo.host.responses import NotACerebrasClient
from optillm_cerebras_cepo.llm.sdk import SdkClient, address_of
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.telemetry.switch import switch_on

__all__ = ["SLUG", "register", "run"]


# OptiLLM's defect: an_answer_is_cut_at_a_speakers_name
class UncutAnswer(str):
    """An answer that OptiLLM does not cut.

    OptiLLM takes a string that contains "User:" or "Assistant:" for a conversation, and keeps what follows the last of
    them (server.py:680). This string denies that it contains them.
    """

    __slots__ = ()

    def __contains__(self, part: object) -> bool:
        return part not in ("User:", "Assistant:") and isinstance(part, str) and super().__contains__(part)


def register() -> None:
    """Check the configuration and add our hooks to OptiLLM's server.

    Raises:
        SystemExit: OptiLLM's CePO configuration is not valid, or the trusted certificates cannot be loaded. OptiLLM
            logs every other exception and starts without the plugin, or fails for every request.

    """
    try:
        configuration.check_cepo_config(sys.argv[1:])
        configuration.check_certificates(sys.argv[1:])
    except BadConfiguration as error:
        raise SystemExit(f"{SLUG}: {error.message}") from None
    switch_on()
    optillm.note_log_entries()
    optillm.accept_doubled_version()
    hooks.register()


def run(
    system_prompt: str, initial_query: str, client: Any, model: str, request_config: dict[str, Any] | None = None
) -> tuple[dict[str, Any] | str, int]:
    """Answer a request.

    Args:
        system_prompt: the conversation's system prompt.
        initial_query: its other turns in one text, or the answer of the approach before this one.
        client: OptiLLM's client for this request; its key and base URL are used, with a long-lived client of ours.
        model: the model that the client names; the pinned model answers instead.
        request_config: the body's fields without messages and model.

    Returns:
        The reply and its completion tokens: a chat.completion where OptiLLM passes it on, otherwise the answer's text.

    Raises:
        CepoError: OptiLLM answers with status 500, which `send_error` replaces.

    """
    del model
    try:
        incoming = incoming_request()
        request = _request(incoming, system_prompt, initial_query, request_config or {})
        execution, hung_up = execution_of(request, _client(client)), current_client()
        if request.parameters.stream:
            execution.start()
            stream.send_events(execution, request, hung_up)
            return {"choices": [], "usage": {}}, 0  # OptiLLM makes a response of it, which the stream replaces
        result = execution.result(hung_up)
        responses.send_cost(result)
        tokens = result.ledger.total.completion_tokens
        if incoming and incoming.makes_reply:
            return responses.full(result), tokens
        return UncutAnswer(result.outcome.answer), tokens
    except CepoError as error:
        responses.send_error(error)
        raise
    except Exception as error:
        failure = defect(error)
        responses.send_error(failure)
        raise failure from None


def _request(
    incoming: IncomingRequest | None, system_prompt: str, initial_query: str, body: Mapping[str, Any]
) -> CepoRequest:
    """Return the request that this call of the plugin has to answer.

    If OptiLLM makes the reply (a combination, a batch), OptiLLM streams, and calls the plugin for each of n answers.
    """
    if incoming and next(incoming.gets_conversation):
        request = incoming.parsed
    else:
        question = question_from_text(system_prompt, initial_query)
        request = replace(incoming.parsed, question=question) if incoming else parse_request(body, question)
    if incoming and incoming.makes_reply:
        return request
    question = replace(request.question, function=None)  # OptiLLM replies with a text
    return replace(request, question=question, parameters=replace(request.parameters, n=1, stream=False))


def execution_of(request: CepoRequest, api: SdkClient) -> Execution:
    """Return the execution of a request, which is recorded as its settings say."""
    observer, deadline = request_observer(), Deadline(request.settings.deadline)
    recording = Recording(request, api.address[0], *((observer.request_id, observer.traces) if observer else ()))

    def solve(observe: Observer, publish: Callable[[Update], None]) -> RequestResult:
        result: RequestResult | CepoError = CepoError("internal error")
        try:
            result = RUNTIME.answer(api, request, recording.hooks(observe, publish), deadline)
            return result
        except CepoError as error:
            result = error
            raise
        finally:
            recording.finish(result)

    if observer:
        observer.on_start(request.settings.effort)
    return Execution(solve, deadline, observer)


def _client(client: object) -> SdkClient:
    """Return our long-lived client with the base URL and key of OptiLLM's."""
    address = address_of(client)
    if address is None:
        raise NotACerebrasClient(
            "OptiLLM chose another provider's client, as it does for a bearer token that starts with 'sk-' or without "
            "CEREBRAS_API_KEY; send no such token: the server uses its own Cerebras key"
        )
    return RUNTIME.client(*address, configuration.tls_settings())
