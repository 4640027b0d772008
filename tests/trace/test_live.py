"""A trace that grows is, at the end, the trace that was recorded."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Step, Usage
from optillm_cerebras_cepo.core.errors import ApiUnavailable, CepoError, OutOfBudget
from optillm_cerebras_cepo.core.events import CallDelayed, CandidateRated
from optillm_cerebras_cepo.trace.live import LiveTrace
from optillm_cerebras_cepo.trace.recorder import TraceRecorder

ENDS = ("reply", "failure", "never sent", "still running")


def unsent() -> CepoError:
    """Return the error of a call that was not sent."""
    error = OutOfBudget("all calls are used")
    error.sent = False
    return error


@given(st.lists(st.tuples(st.sampled_from(list(Step)), st.integers(0, 3), st.sampled_from(ENDS)), max_size=20))
def test_the_entries_add_up_to_the_trace(made: list[tuple[Step, int, str]]) -> None:
    """Whatever calls there were; running calls are in the live trace only."""
    live = LiveTrace(lambda: 0.0)
    recorder = TraceRecorder(publish=live.add)
    for step, candidate, ends in made:
        finish = recorder.begin(ChatRequest("m", (), 100, Label(step, candidate)))
        results: dict[str, Any] = {
            "reply": Completion("m", "text", "stop", Usage(3, 4)),
            "failure": ApiUnavailable("503"),
            "never sent": unsent(),
        }
        if ends in results:
            finish(results[ends], 0.5)
        recorder.observe(CallDelayed(Label(step, candidate), 1.0, ApiUnavailable("503")))
        recorder.observe(CandidateRated(candidate, 0.5))
    recorded, seen = recorder.finish(200, {}), live.finished(200, {})
    for name in ("calls", "waits", "events"):
        assert seen[name] == recorded[name]
    assert len(live.calls) == sum(ends != "never sent" for _, _, ends in made)
    replies = sum(ends == "reply" for _, _, ends in made)
    assert live.spent == {"calls": len(live.calls), "prompt_tokens": 3 * replies, "completion_tokens": 4 * replies}


def test_the_clock_goes_by_the_first_call_and_stops_at_the_end() -> None:
    """The request may have begun before anybody watched, or later."""
    now = [10.0]
    live = LiveTrace(lambda: now[0])
    assert live.seconds == 0.0
    now[0] = 15.0
    live.add({"calls": {"number": 1, "started": 2.0}})
    assert live.seconds == 2.0
    now[0] = 16.0
    live.end()
    now[0] = 99.0
    assert live.seconds == 3.0
