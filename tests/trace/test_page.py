"""The page of a trace, and the lines for a terminal."""

from __future__ import annotations

import itertools
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.core.errors import ApiUnavailable, OutOfBudget, RateLimited, Superseded
from optillm_cerebras_cepo.core.events import CallDelayed, CandidateRated, CandidatesCompared, PlansCompared
from optillm_cerebras_cepo.trace.page import critical_path, page
from optillm_cerebras_cepo.trace.recorder import MOST_CALLS, MOST_TEXT, TraceRecorder
from optillm_cerebras_cepo.trace.text import BAR, dollars, lines

COMPARED = (
    PlansCompared(1, ((1, 3), (2,))),
    CandidateRated(1, 0.5),
    CandidateRated(2, None),
    CandidatesCompared(((1,), (2,))),
)
EVIL = "<script>alert('x')</script>\" onload=\"y"


def call(candidate: int, step: str, started: float, seconds: float, **more: Any) -> dict[str, Any]:
    """Return a call of a trace."""
    made = {"candidate": candidate, "step": step, "model": "m", "started": started, "seconds": seconds}
    return {**made, "finish_reason": "stop", "completion_tokens": 5, **more}


def recorded(texts: bool = False) -> dict[str, Any]:
    """Return the trace of a request with everything that a trace may have."""
    recorder = TraceRecorder("r1", texts="all" if texts else "none")
    request = ChatRequest("m", (Message("user", EVIL),), 100, Label(Step.PLAN, 1))
    recorder.begin(request)(Completion("m", EVIL, "length", Usage(10, 20)), 0.001)
    recorder.begin(request)(ApiUnavailable("the API answered 503"), 0.001)
    recorder.begin(request)(Superseded("another call was faster"), 0.001)
    recorder.observe(CallDelayed(Label(Step.RATING), 1.5, RateLimited("the limit is used up")))
    for event in COMPARED:
        recorder.observe(event)
    spent: dict[str, Any] = {"calls": 2, "prompt_tokens": 10, "completion_tokens": 20, "cost": None}
    ours: dict[str, Any] = {
        **spent,
        "effort": "medium",
        "model": "m",
        "agreement": 0.5,
        "degraded": [EVIL],
        "fitted": [],
    }
    ours |= {"usage": {"plan": spent}, "candidates": [{"candidate": 1, "rating": 0.5, "chosen": True}]}
    return recorder.finish(200, {"cepo_cerebras": ours})


class Tags(HTMLParser):
    """Every tag and attribute of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.text += data


@pytest.mark.parametrize("texts", [False, True])
def test_no_text_becomes_a_part_of_the_page(texts: bool) -> None:
    """Whatever a model or an API wrote; the page loads nothing from anywhere."""
    found = Tags(page(recorded(texts)))
    assert "script" not in found.tags
    assert not {name for name in found.attributes if name.startswith("on") or name in ("src", "href")}
    assert EVIL in found.text
    assert ("pre" in found.tags) == texts


def test_the_page_has_a_bar_for_each_call_and_wait() -> None:
    """With what came of it."""
    html = page(recorded())
    assert html.count('class="bar ') == 4
    for words in (
        "cut at its token limit",
        "failed: the API answered 503",
        "cancelled: another",
        "waits: the limit is used up",
        "rated 0.5",
    ):
        assert words in html


def test_an_error_has_a_page_too() -> None:
    """Even before its first call."""
    trace = TraceRecorder().finish(401, {"error": {"message": "no key", "code": "x"}})
    assert "401: no key" in Tags(page(trace)).text
    assert any("no key" in line for line in lines(trace))


def test_lines_show_when_calls_ran() -> None:
    """Half of the bar for half of the time."""
    trace = {**recorded(), "seconds": 10.0, "waits": []}
    trace["calls"] = [call(1, "plan", 0.0, 5.0), call(1, "execute", 5.0, 5.0)]
    bars = [line[25 : 25 + BAR] for line in lines(trace) if line.startswith("candidate 1 ") and "█" in line]
    half = BAR // 2
    assert bars == ["█" * half + " " * half, " " * half + "█" * half]


@pytest.mark.parametrize(
    ("cost", "shown"), [(None, "$?"), (0.0, "$0.00"), (0.0159, "$0.0159"), (0.00000213, "<$0.0001"), (3.456, "$3.46")]
)
def test_dollars(cost: float | None, shown: str) -> None:
    """As many digits as it takes."""
    assert dollars(cost) == shown


def test_the_critical_path_is_what_the_end_waited_for() -> None:
    """The slowest candidate's calls, then the rating; what ran beside it is not on it."""
    calls = [
        call(1, "plan", 0.0, 1.0),
        call(2, "plan", 0.0, 2.0),
        call(2, "plan", 0.0, 1.5),
        call(1, "final", 1.0, 0.5),
        call(2, "final", 2.0, 3.0),
        call(2, "rating", 5.0, 1.0),
        call(2, "final", 2.0, 9.0, error="superseded", message="another was faster"),
    ]
    assert critical_path(calls) == [calls[1], calls[4], calls[5]]


def test_another_candidate_is_not_on_the_critical_path() -> None:
    """Even if its calls ended later: nothing of this candidate waited for them."""
    own, others, last = call(1, "plan", 0.0, 1.0), call(2, "plan", 0.0, 1.9), call(1, "execute", 2.0, 1.0)
    assert critical_path([own, others, last]) == [own, last]


def test_a_wait_is_on_the_critical_path() -> None:
    """With the call that failed before it."""
    failed = call(1, "plan", 0.0, 1.0, error="api_unavailable", message="later")
    beside, last = call(1, "plan", 0.0, 2.0), call(1, "plan", 3.0, 1.0)
    wait = {"candidate": 1, "step": "plan", "started": 1.0, "seconds": 2.0, "error": "api_unavailable"}
    assert critical_path([failed, beside, last, wait]) == [failed, wait, last]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(("plan", "rating")), st.floats(0, 9), st.floats(0, 9)), max_size=12
    )
)
def test_calls_of_the_critical_path_follow_each_other(drawn: list[tuple[int, str, float, float]]) -> None:
    """For any calls: none begins before the one before it has ended, and the last ends last."""
    calls = [call(*one) for one in drawn]
    path = critical_path(calls)
    for before, after in itertools.pairwise(path):
        assert before["started"] + before["seconds"] <= after["started"] + 0.01
    if calls:
        assert path[-1]["started"] + path[-1]["seconds"] == max(one["started"] + one["seconds"] for one in calls)


def test_a_call_that_was_never_sent_is_left_out() -> None:
    """It took nothing of the API."""
    recorder, error = TraceRecorder(), OutOfBudget("all calls are used")
    error.sent = False
    recorder.begin(ChatRequest("m", (), 100, Label(Step.PLAN, 1)))(error, 0.0)
    assert recorder.finish(200, {})["calls"] == []


def test_a_call_that_was_not_sent_is_taken_back() -> None:
    """Of a live trace, which was told of its beginning."""
    told: list[Any] = []
    recorder, error = TraceRecorder(publish=told.append), OutOfBudget("all calls are used")
    error.sent = False
    recorder.begin(ChatRequest("m", (), 100, Label(Step.PLAN, 1)))(error, 0.0)
    assert [entry["calls"].get("made") for entry in told] == [None, False]
    assert len({entry["calls"]["number"] for entry in told}) == 1


def test_a_trace_is_bounded() -> None:
    """In calls and in characters."""
    recorder = TraceRecorder(texts="all")
    request = ChatRequest("m", (Message("user", "x" * 50_000),), 100, Label(Step.PLAN, 1))
    for _ in range(MOST_CALLS + 5):
        recorder.begin(request)(Completion("m", "", "stop", Usage()), 0.0)
    trace = recorder.finish(200, {})
    assert len(trace["calls"]) == MOST_CALLS
    assert len(trace["calls"][0]["messages"][0]["content"]) < MOST_TEXT + 50
