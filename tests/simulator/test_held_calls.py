"""Replies that wait until the test releases them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.releasing import released_at_the_end
from support.waiting import until

from optillm_cerebras_cepo.simulator import CLIENT_GONE, Fault, Reply, Rule
from simulator.conftest import Start


def test_held_replies_are_released(started: Start) -> None:
    """One by one in the order of the calls, or all; after that, calls do not wait."""
    client = started(rules=(Rule(text=("1", "2", "3", "4"), held=True),))
    api = client.simulator
    with ThreadPoolExecutor(3) as pool, released_at_the_end(client.simulator):
        calls = []
        for number in (1, 2, 3):
            calls.append(pool.submit(client.create))
            until(lambda count=number: api.held == count)  # type: ignore[misc]
        assert api.stalled == {call.number for call in api.calls}
        api.release(1)
        assert calls[0].result().choices[0].message.content == "1"
        assert (api.held, [call.status for call in api.calls]) == (2, [200, None, None])
        api.release()
        assert [call.result().choices[0].message.content for call in calls[1:]] == ["2", "3"]
    assert client.create().choices[0].message.content == "4"
    assert (api.held, api.stalled) == (0, frozenset())


def test_half_of_a_held_stream_is_sent(started: Start) -> None:
    """The rest is sent when it is released."""
    client = started(rules=(Rule(text="one two three four " * 9, held=True),))
    stream = client.create(stream=True)
    first = [next(stream), next(stream)]
    until(lambda: client.simulator.held)
    client.simulator.release()
    texts = ["".join(chunk.choices[0].delta.content or "" for chunk in part) for part in (first, stream)]
    assert all(texts)
    assert "".join(texts) == "one two three four " * 9


def test_verbatim_replies_are_held_too(started: Start) -> None:
    """A call whose client disconnects is no longer held."""
    client = started(rules=(Rule(reply=Reply(500, "x"), held=True),))
    client.leave(lambda: client.simulator.held)
    until(lambda: not client.simulator.held)
    until(lambda: client.simulator.calls[0].status == CLIENT_GONE)
    client.simulator.release()
    assert client.post().status_code == 500


@pytest.mark.parametrize("fault", ["hang", "trickle"])
def test_hanging_and_trickling_calls_are_stalled_but_not_held(started: Start, fault: Fault) -> None:
    """They cannot be released."""
    client = started(rules=(Rule(fault=fault),))
    client.leave(lambda: client.simulator.stalled)
    assert client.simulator.held == 0
    until(lambda: not client.simulator.stalled)
