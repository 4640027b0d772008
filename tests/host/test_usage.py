"""What a reply's `usage` counts: all calls, or the one that wrote the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.call_log import Call
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
ANSWER = {"cepo_cerebras_usage": "answer"}


def pair(usage: dict[str, Any]) -> tuple[int, int]:
    """Return a usage's tokens."""
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return usage["prompt_tokens"], usage["completion_tokens"]


def tokens(call: Call) -> tuple[int, int]:
    """Return a call's tokens."""
    return call.prompt_tokens, call.completion_tokens


def test_all_calls_by_default(ask: Any, api: Simulator) -> None:
    """The sum is what the operator pays for; it stands in `cepo_cerebras` too."""
    body = ask(**SMALL).get_json()
    total = (api.usage.prompt_tokens, api.usage.completion_tokens)
    assert pair(body["usage"]) == total
    assert (body["cepo_cerebras"]["prompt_tokens"], body["cepo_cerebras"]["completion_tokens"]) == total


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("effort", ["none", "low", "auto", "medium"])
def test_the_call_that_wrote_the_answer(ask: Any, api: Simulator, effort: str, stream: bool) -> None:
    """The last call, where nothing is rated; the sum stays in `cepo_cerebras`."""
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    response = ask(cepo_cerebras_bestofn_n=1, cepo_cerebras_effort=effort, **ANSWER, **options)
    if stream:
        events = [event.removeprefix("data: ") for event in response.get_data(as_text=True).split("\n\n")]
        chunks = [json.loads(event) for event in events if event.startswith("{")]
        usage, ours = chunks[-1]["usage"], chunks[-2]["cepo_cerebras"]
    else:
        usage, ours = response.get_json()["usage"], response.get_json()["cepo_cerebras"]
    assert pair(usage) == tokens(api.chat_calls[-1])
    assert (ours["prompt_tokens"], ours["completion_tokens"]) == (
        api.usage.prompt_tokens,
        api.usage.completion_tokens,
    )


@pytest.mark.parametrize("failed", [1, 2])
def test_of_the_call_that_took_its_place(serve: Any, simulate: Simulate, failed: int) -> None:
    """Where the last calls fail, the answer is the review, or the first solution."""
    refused = Rule(reply=Reply(400, {"message": "?"}))
    api = simulate(rules=(Rule(times=4 - failed, text=("a plan", "It is 42.", "It is 43.")), refused))
    body = serve(api.url)(**SMALL, **ANSWER).get_json()
    assert body["choices"][0]["message"]["content"] == ("It is 43." if failed == 1 else "It is 42.")
    answered = [call for call in api.chat_calls if call.status == 200]
    assert pair(body["usage"]) == tokens(answered[-1])


def test_of_several_answers(ask: Any, api: Simulator) -> None:
    """As the API counts several answers: their prompt once."""
    usage = ask(n=2, cepo_cerebras_effort="none", **ANSWER).get_json()["usage"]
    first, second = api.chat_calls
    assert pair(usage) == (first.prompt_tokens, first.completion_tokens + second.completion_tokens)


def test_of_an_answer_that_was_asked_for_again(serve: Any, simulate: Simulate) -> None:
    """The repeated call wrote it."""
    api = simulate(rules=(Rule(r"^Your answer cannot be used", text='{"a": 1}'), Rule(text="No JSON.")))
    ask = serve(api.url)
    body = ask(cepo_cerebras_effort="none", response_format={"type": "json_object"}, **ANSWER).get_json()
    assert pair(body["usage"]) == tokens(api.chat_calls[-1])
    assert body["cepo_cerebras"]["calls"] == 2
