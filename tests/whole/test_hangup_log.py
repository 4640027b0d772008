"""What a client has cost that went away: one line in the server's log. A real server, real connections."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from conftest import KEY
from support import web
from support.optillm_process import optillm
from support.waiting import until
from support.wire import Wire, request

from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.server import Simulator

BODY: dict[str, Any] = {
    "model": "any",
    "messages": [{"role": "user", "content": "What is 6 times 7?"}],
    "cepo_cerebras_bestofn_n": 1,
}
CALLS = r"the client hung up; (\d+) calls were made, (\d+) of them aborted in flight"
LINE = re.compile(CALLS + r", and (\d+) \+ (\d+) tokens spent")


@pytest.mark.parametrize("stream", [True, False])
def test_what_was_spent_is_logged(simulate: Callable[..., Simulator], stream: bool) -> None:
    """Calls, tokens and aborted calls as the API counted them: two plans are there, three calls never answered."""
    hang = Rule(fault="hang")
    api = simulate(rules=(replace(hang, pattern="execute the above plan"), Rule(times=2, text="a plan"), hang))
    arguments = ("--base-url", api.url, "--approach", "cepo_cerebras")
    with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY}) as server:
        with Wire(server.url) as wire:
            wire.send(request(body=json.dumps(BODY | {"stream": stream}).encode()))
            until(lambda: len(api.stalled) == 3)  # a plan, and the execution of the other two
        told = until(lambda: LINE.findall(server.log), lambda: server.log)
        until(lambda: api.in_flight == 0, lambda: api.chat_calls)
        assert [call.status for call in api.chat_calls].count(CLIENT_GONE) == 3
        spent = (5, 3, api.usage.prompt_tokens, api.usage.completion_tokens)
        assert [tuple(map(int, line)) for line in told] == [spent]


def test_nothing_is_said_of_clients_that_stay(simulate: Callable[..., Simulator]) -> None:
    """A stream that was read to its end is closed too."""
    arguments = ("--base-url", simulate().url, "--approach", "cepo_cerebras")
    with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY}) as server:
        for body in (BODY, BODY | {"stream": True}):
            assert web.post(f"{server.url}/v1/chat/completions", json=body).is_success
        assert "candidate 1 final" in server.log
        assert "hung up" not in server.log
