"""What a client has cost that went away: one line in the server's log. A real server, real connections."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from conftest import KEY
from support.optillm_process import Server, optillm
from support.quiet import quiet

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


def told(server: Server) -> list[tuple[int, ...]]:
    """The numbers of each line that says that a client hung up; waits for the first."""
    for _ in range(100):
        if lines := LINE.findall(server.log):
            return [tuple(map(int, line)) for line in lines]
        time.sleep(0.1)
    return []


@pytest.mark.parametrize("stream", [True, False])
def test_what_was_spent_is_logged(simulate: Callable[..., Simulator], stream: bool) -> None:
    """Calls, tokens and aborted calls as the API counted them: some are answered, the others would take a minute."""
    api = simulate(rules=(Rule(times=2, text="a plan"), Rule(latency=60.0)))
    arguments = ("--base-url", api.url, "--approach", "cepo_cerebras")
    with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY}) as server:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/v1/chat/completions", json=BODY | {"stream": stream}, timeout=3)
        statuses = quiet(api)
        aborted = statuses.count(CLIENT_GONE)
        assert aborted >= 1
        assert told(server) == [(len(statuses), aborted, api.usage.prompt_tokens, api.usage.completion_tokens)]


def test_nothing_is_said_of_clients_that_stay(simulate: Callable[..., Simulator]) -> None:
    """A stream that was read to its end is closed too."""
    arguments = ("--base-url", simulate().url, "--approach", "cepo_cerebras")
    with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY}) as server:
        for body in (BODY, BODY | {"stream": True}):
            assert httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).is_success
        assert "candidate 1 final" in server.log
        assert "hung up" not in server.log
