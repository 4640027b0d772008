from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import web
from support.releasing import released_at_the_end
from support.waiting import until

from optillm_cerebras_cepo.simulator import CLIENT_GONE, Rule
from simulator.conftest import Start


def test_call_is_recorded_completely(started: Start) -> None:
    """With its body, status, tokens and times."""
    client = started(rules=(Rule(text="abcd" * 3),))
    before = time.monotonic()
    client.create(temperature=0.5, max_completion_tokens=100)
    (call,) = client.simulator.calls
    assert (call.method, call.path, call.status, call.code) == ("POST", "/v1/chat/completions", 200, "")
    assert call.body == {
        "model": "llama-3.3-70b",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "max_completion_tokens": 100,
    }
    assert (call.prompt_tokens, call.completion_tokens, call.admission_tokens) == (9, 3, 109)
    assert call.ended
    assert before <= call.started <= call.ended <= time.monotonic()
    assert (call.in_flight, call.admitted) == (1, True)


@pytest.mark.parametrize("stream", [False, True])
def test_record_is_complete_when_the_client_has_the_answer(started: Start, stream: bool) -> None:
    """Tests need not wait for the log."""
    client = started()
    for _ in range(20):
        list(client.create(stream=stream))
        assert client.simulator.calls[-1].completion_tokens > 0
        assert (client.simulator.calls[-1].status, client.simulator.in_flight) == (200, 0)


def test_key_is_not_recorded(started: Start) -> None:
    """The other headers are recorded, with lower-case names."""
    client = started()
    client.create(extra_headers={"X-Cerebras-3rd-Party-Integration": "cepo"})
    headers = client.simulator.calls[0].headers
    assert headers["x-cerebras-3rd-party-integration"] == "cepo"
    assert headers["authorization"] == "(not recorded)"
    assert "csk-" not in client.http.get("/simulator/calls").text


def test_refused_calls_are_recorded(started: Start) -> None:
    """With their status and code, their body even when the key was missing, and no tokens."""
    client = started()
    client.post(temperature=9)
    client.post(model="nothing")
    web.post(f"{client.simulator.url}/v1/chat/completions", json={"a": 1})
    client.http.get("/nowhere")
    calls = client.simulator.calls
    assert [(call.status, call.code) for call in calls] == [
        (400, "wrong_api_format"),
        (404, "model_not_found"),
        (403, ""),
        (404, "not_found"),
    ]
    assert calls[2].body == {"a": 1}
    assert [call.number for call in calls] == [1, 2, 3, 4]
    assert len(client.simulator.chat_calls) == 3
    assert client.simulator.usage.total_tokens == client.simulator.usage.admission_tokens == 0
    assert not any(call.admitted for call in calls)


def test_usage_is_summed(started: Start) -> None:
    """It is the sum of the usage in the replies."""
    client = started()
    usages = [client.create("x" * size).usage for size in (10, 100)]
    assert client.simulator.usage.prompt_tokens == sum(usage.prompt_tokens for usage in usages)
    assert client.simulator.usage.completion_tokens == sum(usage.completion_tokens for usage in usages)
    assert client.simulator.usage.total_tokens == sum(usage.total_tokens for usage in usages)


def test_concurrency_is_measured(started: Start) -> None:
    """The peak of all calls, and for each call the number of running calls at its start."""
    client = started(rules=(Rule(held=True),))
    with ThreadPoolExecutor(4) as pool, released_at_the_end(client.simulator):
        calls = [pool.submit(client.create) for _ in range(4)]
        until(lambda: client.simulator.held == 4)
        client.simulator.release()
        assert [call.result() for call in calls]
    client.create()
    assert client.simulator.peak_in_flight == 4
    assert sorted(call.in_flight for call in client.simulator.calls) == [1, 1, 2, 3, 4]
    assert client.simulator.in_flight == 0


def test_connections_are_counted(started: Start) -> None:
    """Successive calls share a connection; without keep-alive each call opens one."""
    client = started()
    for _ in range(3):
        client.create()
    assert client.simulator.connections == 1
    for _ in range(2):
        web.get(f"{client.simulator.url}/public/v1/models")
    assert client.simulator.connections == 3


def test_running_calls_are_in_the_log(started: Start) -> None:
    """A call is recorded when it arrives."""
    client = started(rules=(Rule(held=True),))
    thread = threading.Thread(target=client.create)
    thread.start()
    until(lambda: client.simulator.in_flight == 1)
    (call,) = client.simulator.calls
    assert (call.status, call.ended) == (None, None)
    client.simulator.release()
    thread.join()
    assert client.simulator.calls[0].status == 200


def test_disconnect_ends_the_call(started: Start) -> None:
    """The call ends immediately, its charge remains, and no tokens are counted."""
    client = started(rules=(Rule(held=True),))
    client.leave(lambda: client.simulator.held)
    until(lambda: client.simulator.in_flight == 0)
    (call,) = client.simulator.calls
    assert (call.status, call.completion_tokens) == (CLIENT_GONE, 0)
    assert call.admission_tokens > 0


def test_disconnect_ends_a_stream(started: Start) -> None:
    """Also between two chunks."""
    client = started(rules=(Rule(text="abcd" * 400, held=True),))
    stream = client.create(stream=True)
    next(iter(stream))
    stream.response.close()
    until(lambda: client.simulator.in_flight == 0)
    assert client.simulator.calls[0].status == CLIENT_GONE


def test_call_log_over_http(started: Start) -> None:
    """Other processes read the same figures without a key, and are not recorded."""
    client = started()
    client.create()
    found = web.get(f"{client.simulator.url}/simulator/calls").json()
    assert found["calls"][0]["body"]["model"] == "llama-3.3-70b"
    assert found["calls"][0]["status"] == 200
    assert found["usage"]["total_tokens"] == client.simulator.usage.total_tokens
    assert (found["peak_in_flight"], found["in_flight"], found["connections"], found["warmings"]) == (1, 0, 1, 0)
    assert len(client.simulator.calls) == 1


def test_call_log_can_be_cleared(started: Start) -> None:
    """Over HTTP and in the process, also while a call runs."""
    client = started(rules=(Rule(times=1), Rule(held=True)))
    client.create()
    assert web.delete(f"{client.simulator.url}/simulator/calls").json() == {"cleared": 1}
    assert client.simulator.calls == ()
    assert client.simulator.peak_in_flight == client.simulator.usage.total_tokens == 0
    thread = threading.Thread(target=client.create)
    thread.start()
    until(lambda: client.simulator.held == 1)
    client.simulator.clear()
    client.simulator.release()
    thread.join()
    assert (client.simulator.calls, client.simulator.in_flight, client.simulator.peak_in_flight) == ((), 0, 1)
