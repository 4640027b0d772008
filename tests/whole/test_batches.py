"""In OptiLLM's batches: a real `optillm` process and the simulated API.

OptiLLM collects requests for the same model and approach and works on them one after the other, on a thread that serves
no request. It takes texts from a plugin and makes the replies itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import KEY
from support.optillm_process import Server, optillm

from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.options import SimulatorOptions
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

MODEL = "llama-3.3-70b"
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
OURS = 4  # calls of such a request: plan, execute, review, final
REREAD = "re-read: forty-two"
DEFAULT = "The simulated answer is 42."


@pytest.fixture(scope="module")
def api() -> Iterator[Simulator]:
    """One simulated API for this file, on which re2 is known by its answer, and one question costs too much."""
    rules = (
        Rule(pattern="Read the question again: ", text=REREAD),
        Rule(pattern="Tell me of debts", search_in="all", reply=Reply(402)),
    )
    with Simulator(SimulatorOptions(rules=rules)) as running:
        yield running


# OptiLLM makes the queue of a model and approach when the first request for it comes, and makes another where a second
# one comes in the same moment: what waits in the first queue is lost. Here the first request makes it for all.
ONE_QUEUE = """
import queue, threading
import optillm
from optillm.batching import RequestBatcher

add_request, lock = RequestBatcher.add_request, threading.Lock()

def add_to_one_queue(batcher, request):
    if not request.get("stream"):
        key = batcher._get_request_key(request)
        with lock:
            if key not in batcher.queues:
                batcher.queues[key] = queue.Queue()
                batcher._create_batch_processor(key)
    return add_request(batcher, request)

RequestBatcher.add_request = add_to_one_queue
optillm.main()
"""


@pytest.fixture(scope="module")
def batches(api: Simulator) -> Iterator[Server]:
    """An optillm that works when three requests have come together; for fewer it would wait for days."""
    arguments = ["--base-url", api.url, "--approach", "cepo_cerebras", "--batch-mode", "--batch-size", "3"]
    with optillm(
        *("-c", ONE_QUEUE, *arguments, "--batch-wait-ms", "1000000000"),
        environ={"CEREBRAS_API_KEY": KEY},
        command=Path(sys.executable),
    ) as running:
        yield running


def about(subject: str, **fields: Any) -> dict[str, Any]:
    """A small request with words of its own."""
    return {"model": MODEL, "messages": [{"role": "user", "content": f"Tell me of {subject}."}], **SMALL, **fields}


def contents(response: httpx.Response) -> list[str]:
    """The texts of all choices."""
    assert response.status_code == 200, response.text
    return [choice["message"]["content"] for choice in response.json()["choices"]]


def ask_all(server: Server, *bodies: Mapping[str, Any]) -> list[httpx.Response]:
    """Ask all at once; the replies are in the order of the bodies."""
    with ThreadPoolExecutor(len(bodies)) as threads:
        return list(threads.map(server.ask, bodies))


def test_a_batch_gives_each_request_its_own_answer(batches: Server, api: Simulator) -> None:
    """With its own settings: the texts and tokens of one are not those of another."""
    api.clear()
    bodies = [about("tea"), about("milk", cepo_cerebras_bestofn_n=2), about("rain", cepo_cerebras_effort="none")]
    replies = ask_all(batches, *bodies)
    assert all(contents(reply)[0].startswith(DEFAULT) for reply in replies)
    assert "Processing batch of 3 requests for" in batches.log
    asked = {
        subject: [call for call in api.chat_calls if f"Tell me of {subject}." in str(call.body["messages"])]
        for subject in ("tea", "milk", "rain")
    }
    # A plan's execution has the question in it; a review and a final answer have it too.
    assert {subject: len(calls) for subject, calls in asked.items()} == {"tea": 4, "milk": 8, "rain": 1}
    assert len(api.chat_calls) == 13
    for reply, calls in zip(replies, asked.values(), strict=True):
        tokens = sum(call.completion_tokens for call in calls)
        assert reply.json()["usage"]["completion_tokens"] == tokens


def test_a_batch_of_combinations(batches: Server, api: Simulator) -> None:
    """OptiLLM combines in a batch as it does outside of one."""
    api.clear()
    bodies = [about(subject, optillm_approach="cepo_cerebras&re2") for subject in ("tea", "milk", "rain")]
    assert [contents(reply) for reply in ask_all(batches, *bodies)] == [[REREAD]] * 3
    assert len(api.chat_calls) == 3 * (OURS + 1)


def test_one_request_that_fails_fails_its_batch(batches: Server, api: Simulator) -> None:
    """OptiLLM's contract: all of them get the 500 of the one, with our message in it; what came before was spent."""
    api.clear()
    replies = ask_all(batches, about("tea"), about("debts"), about("rain"))
    assert [reply.status_code for reply in replies] == [500] * 3
    assert all("has no credit" in reply.text for reply in replies)
    spent = [call.status for call in api.chat_calls]
    assert spent in ([402], [200] * OURS + [402], [200] * 2 * OURS + [402])


def test_what_is_refused_at_the_door_is_in_no_batch(batches: Server, api: Simulator) -> None:
    """A 400 of its own at once, and the others are answered."""
    api.clear()
    empty = {"model": MODEL, "messages": []}
    *replies, refused = ask_all(batches, about("tea"), about("milk"), about("rain"), empty)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "messages"
    assert all(contents(reply)[0].startswith(DEFAULT) for reply in replies)
    assert len(api.chat_calls) == 3 * OURS


def test_streams_are_not_batched(batches: Server, api: Simulator) -> None:
    """OptiLLM refuses them in batch mode, before any call."""
    api.clear()
    response = batches.ask(about("tea", stream=True))
    assert response.status_code == 500
    assert "Streaming requests cannot be batched" in response.text
    assert api.chat_calls == ()


def test_several_answers_of_one_request_are_as_many_runs(batches: Server, api: Simulator) -> None:
    """OptiLLM makes the replies here, and so the answers: it runs a request of a batch n times."""
    api.clear()
    replies = ask_all(batches, about("bread", n=2), about("salt", n=2), about("wine", n=2))
    assert [len(contents(reply)) for reply in replies] == [2, 2, 2]
    assert len(api.chat_calls) == 3 * 2 * OURS
