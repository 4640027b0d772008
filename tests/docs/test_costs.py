"""What the README says a request costs, counted on the simulated API."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from conftest import KEY
from support.optillm_process import optillm

from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.server import Simulator

README = (Path(__file__).parents[2] / "README.md").read_text()
QUESTION = {"model": "llama-3.3-70b", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}
FOUR_HUNDRED = "word " * 317 + "\nRating: [[1]]\n"  # 1,600 characters are 400 simulated tokens


def row(name: str) -> list[int]:
    """The numbers of a row of the table."""
    found = re.search(rf"^\| {re.escape(name)} \| (.*) \|$", README, re.MULTILINE)
    assert found is not None, name
    return [int(number.replace(",", "")) for number in found[1].split(" | ")]


def spent(api: Simulator) -> list[int]:
    """Calls, tokens of replies, and the token limits that were charged."""
    limits = sum(
        call.body["max_completion_tokens" if "max_completion_tokens" in call.body else "max_tokens"]
        for call in api.chat_calls
    )
    return [len(api.chat_calls), api.usage.completion_tokens, limits]


def test_the_table_of_costs(simulate: Callable[..., Simulator]) -> None:
    """OptiLLM's loop and ours behind one server, and the direct call; and 27 calls with three attempts."""
    api = simulate(rules=(Rule(text=FOUR_HUNDRED),))
    arguments = ["--base-url", api.url, "--approach", "cepo_cerebras", "--cepo_use_reasoning", ""]
    with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY}) as server:
        for name, body in [
            ("OptiLLM's `cepo`, with its reasoning switched off", {"optillm_approach": "cepo"}),
            ("`cepo_cerebras`", {}),
            ("`cepo_cerebras`, effort `none`", {"cepo_cerebras_effort": "none"}),
        ]:
            api.clear()
            assert server.ask(QUESTION | body).status_code == 200
            assert row(name) == spent(api)
        api.clear()
        server.ask(QUESTION | {"cepo_cerebras_planning_m": 3})
        assert spent(api)[0] == 27
        assert "`CEPO_CEREBRAS_PLANNING_M=3`" in README
        assert "makes it 27 calls" in README
