"""OptiLLM's calling convention, and nothing of the algorithm: from its arguments to a solved question and back."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optillm_cerebras_cepo.chat import Listener
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import BadConfiguration, CepoError
from optillm_cerebras_cepo.events import Observer
from optillm_cerebras_cepo.host import api_connection, configuration, conversation_log, hangup, intake, reply, stream
from optillm_cerebras_cepo.host.asked import Asked, asked_from
from optillm_cerebras_cepo.host.conversation import question_from, question_from_text
from optillm_cerebras_cepo.host.refusals import NotACerebrasClient
from optillm_cerebras_cepo.host.served import watcher
from optillm_cerebras_cepo.host.work import Work, defect
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.llm.sdk import SdkClient, address_of
from optillm_cerebras_cepo.runtime import RUNTIME, Solved

SLUG = "cepo_cerebras"


def register() -> None:
    """Take our place in OptiLLM's server; called when it loads the plugin.

    Raises:
        SystemExit: OptiLLM's CePO configuration cannot be used, nor could OptiLLM use it; or the trusted certificates
            cannot be loaded, without which OptiLLM answers no request, whichever approach it asks for.

    """
    try:
        configuration.check(sys.argv[1:])
        api_connection.check_certificates(sys.argv[1:])
    except BadConfiguration as error:
        raise SystemExit(f"{SLUG}: {error.message}") from None
    intake.register(SLUG)


def run(
    system_prompt: str,
    initial_query: str,
    client: Any,
    model: str,
    request_config: dict[str, Any] | None = None,
    messages: list[Any] | None = None,
) -> tuple[dict[str, Any] | str, int]:
    """Answer a request as OptiLLM asks its plugins to.

    Args:
        system_prompt: the conversation's system prompt.
        initial_query: its turns in one text, or another approach's answer.
        client: OptiLLM's client for this request; its key and address are used through a long-lived one of ours.
        model: what the client named; the pinned model answers all the same.
        request_config: the other fields of the body.
        messages: the conversation (OptiLLM 0.4, for a single approach).

    Returns:
        The reply and the completion tokens: a full chat.completion where OptiLLM hands it through, else the answer.

    Raises:
        CepoError: OptiLLM makes a 500 of it, which `reply.send_error` replaces.

    """
    del model
    body = request_config or {}
    try:
        arrived = intake.arrival()
        asked = _asked(system_prompt, initial_query, body, messages, arrived)
        work, hung_up = _work(asked, _api(client)), hangup.watch()
        if asked.parameters.stream:
            work.begin()
            model = lookup(asked.settings.model[0]).id
            events = stream.events(work, model, asked.parameters, asked.settings.progress, hung_up)
            reply.send_events(events, on_close=work.give_up)
            return reply.EMPTY, 0
        solved = work.result(hung_up)
        alone = arrived.alone if arrived else messages is not None and body.get("n", 1) == 1
        return _answer(solved, alone), solved.ledger.total.completion_tokens
    except CepoError as error:
        reply.send_error(error)
        raise
    except Exception as error:
        failure = defect(error)
        reply.send_error(failure)
        raise failure from None


def _asked(
    system_prompt: str,
    initial_query: str,
    body: Mapping[str, Any],
    messages: list[Any] | None,
    arrived: intake.Arrival | None,
) -> Asked:
    """What was settled at the door, as far as OptiLLM asks for the same.

    Where ours is one approach of several, or in a batch, OptiLLM makes the reply: it streams, and asks n times.
    """
    if arrived and arrived.text == initial_query:
        question = arrived.asked.question
    elif messages is not None:
        question = question_from({"messages": messages})
    else:
        question = question_from_text(system_prompt, initial_query)
    asked = replace(arrived.asked, question=question) if arrived else asked_from(body, question)
    if arrived and arrived.alone:
        return asked
    return replace(asked, parameters=replace(asked.parameters, n=1, stream=False))


def _work(asked: Asked, api: SdkClient) -> Work:
    """What has to be done for the answer, with all its calls in OptiLLM's conversation log, if it keeps one."""
    deadline = Deadline(asked.settings.deadline)
    # A stream goes on when OptiLLM has what it takes for the reply, and would close the entry.
    entry = conversation_log.hold() if asked.parameters.stream else None
    recorder = entry.recorder if entry else conversation_log.recorder()

    def solve(observer: Observer, listener: Listener) -> Solved:
        solved, error = None, "internal error"
        try:
            solved = RUNTIME.solve(
                asked.question,
                asked.settings,
                api,
                observer,
                parameters=asked.parameters,
                form=asked.form,
                listener=listener if asked.parameters.stream else None,
                deadline=deadline,
                recorder=recorder,
            )
        except CepoError as failure:
            error = failure.message
            raise
        finally:
            if entry:
                entry.finish(reply.full(solved) if solved else None, None if solved else error)
        return solved

    who = watcher()
    if who:
        who.began(asked.settings.effort)
    return Work(solve, deadline, who)


def _api(client: object) -> SdkClient:
    address = address_of(client)
    if address is None:
        raise NotACerebrasClient(
            "OptiLLM chose another provider's client, as it does for a bearer token that starts with 'sk-' or without "
            "CEREBRAS_API_KEY; send no such token: the server uses its own Cerebras key"
        )
    return RUNTIME.client(*address, api_connection.tls_settings())


def _answer(solved: Solved, alone: bool) -> dict[str, Any] | str:
    return reply.full(solved) if alone else reply.text(solved)
