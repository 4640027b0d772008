"""The README's table of efforts and costs agrees with the calls and tokens that the simulated API counts."""

from __future__ import annotations

import json
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
APPROACHES = json.dumps({f"approach_{number}": "word " * 60 for number in range(1, 6)}).ljust(1600)


def row(name: str) -> list[int]:
    """Return the calls, reply tokens and charged tokens of a row of the table."""
    found = re.search(rf"^\| {re.escape(name)} \| .* \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", README, re.MULTILINE)
    assert found is not None, name
    return [int(number.replace(",", "")) for number in found.groups()]


def spent(api: Simulator) -> list[int]:
    """Return the calls, the tokens of their replies, and the sum of their token limits."""
    limits = sum(
        call.body["max_completion_tokens" if "max_completion_tokens" in call.body else "max_tokens"]
        for call in api.chat_calls
    )
    return [len(api.chat_calls), api.usage.completion_tokens, limits]


def test_the_table_of_costs(simulate: Callable[..., Simulator]) -> None:
    """Each row of the table, asked of one server: OptiLLM's own approach and every effort."""
    api = simulate(rules=(Rule(pattern="approach_1", text=APPROACHES), Rule(text=FOUR_HUNDRED)))
    arguments = ["--base-url", api.url, "--approach", "cepo_cerebras", "--cepo_use_reasoning", ""]
    with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY, "CEPO_CEREBRAS_FIT_TOKENS": "false"}) as server:
        for name, body in [
            ("OptiLLM's own `cepo`", {"optillm_approach": "cepo"}),
            ("`medium` (default)", {}),
            ("`auto`", {"cepo_cerebras_effort": "auto"}),
            ("`low`", {"cepo_cerebras_effort": "low"}),
            ("`high`", {"reasoning_effort": "high"}),
            ("`none`", {"cepo_cerebras_effort": "none"}),
        ]:
            api.clear()
            assert server.ask(QUESTION | body).status_code == 200
            assert row(name) == spent(api)


def test_what_is_charged_once_lengths_are_known(simulate: Callable[..., Simulator]) -> None:
    """Later default requests ask for the length of earlier replies (400 tokens) and a margin."""
    api = simulate(rules=(Rule(text=FOUR_HUNDRED),))
    with optillm("--base-url", api.url, "--approach", "cepo_cerebras", environ={"CEREBRAS_API_KEY": KEY}) as server:
        for _ in range(4):
            api.clear()
            assert server.ask(QUESTION).status_code == 200
    assert spent(api) == [24, 9_600, 12_000]
    assert "charged 12,000" in " ".join(README.split())
