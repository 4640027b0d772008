"""The table of a request in a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from optillm_cerebras_cepo.ask.screen import Screen, answer, spent, stage
from optillm_cerebras_cepo.ask.updates import Reply
from optillm_cerebras_cepo.trace.live import LiveTrace


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at 100 s."""
    return Clock()


@pytest.fixture
def trace(clock: Clock) -> LiveTrace:
    """The trace of a request that begins now."""
    return LiveTrace(clock)


def call(number: int, step: str, candidate: int, started: float, **end: Any) -> dict[str, Any]:
    """Return the entry of a call; with `seconds`, of one that has ended."""
    entry = {"number": number, "step": step, "candidate": candidate, "model": "m", "started": started}
    return {
        "calls": {**entry, "max_tokens": 9, **({"completion_tokens": 5, "finish_reason": "stop"} | end if end else {})}
    }


def drawn(thing: Any, width: int = 100) -> str:
    """Return what rich draws."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(thing)
    return file.getvalue()


def row(text: str, name: str) -> str:
    """Return the line of the table that begins with this name."""
    return next(line for line in text.splitlines() if name in line)


def test_each_candidate_has_a_row_and_each_step_a_column(trace: LiveTrace, clock: Clock) -> None:
    """With a mark for each call: answered, failed, given up, or running."""
    trace.add(call(1, "plan", 1, 0.0, seconds=1.0))
    trace.add(call(2, "plan", 1, 0.0, seconds=1.0, error="api_unavailable", message="503"))
    trace.add(call(3, "plan", 2, 0.0, seconds=1.0, error="superseded", message="late"))
    trace.add(call(4, "execute", 2, 1.0))
    clock.now += 3
    text = drawn(Screen("Why?", "medium", trace))
    assert "Why?" in text
    assert row(text, "plan").split()[1:6] == ["plan", "execute", "review", "final", "│"]
    assert "●✗" in row(text, "candidate 1")
    assert "○" in row(text, "candidate 2")
    assert "0 tok · 2.0 s" in text  # the running call
    assert "medium · m · 3.0 s" in text


def test_a_wait_is_counted_down_with_its_reason(trace: LiveTrace, clock: Clock) -> None:
    """As long as it lasts."""
    trace.add(call(1, "plan", 1, 0.0, seconds=1.0))
    wait = {
        "step": "plan",
        "candidate": 1,
        "started": 1.0,
        "seconds": 4.0,
        "error": "x",
        "message": "the limit is used up",
    }
    trace.add({"waits": wait})
    clock.now += 2
    text = drawn(Screen("Why?", "", trace))
    assert "waits 3.0 s" in text
    assert "candidate 1 plan waits: the limit is used up" in text
    clock.now += 3
    assert "waits" not in drawn(Screen("Why?", "", trace))


def test_what_was_chosen_and_why(trace: LiveTrace) -> None:
    """Ratings, agreement, the chosen candidate, and what was left out."""
    for number in (1, 2):
        trace.add(call(number, "rating", number, 0.0, seconds=1.0))
        rated = {"kind": "rated", "candidate": number, "rating": number / 2, "message": f"candidate {number}: rated"}
        trace.add({"events": rated})
    trace.add({"events": {"kind": "candidates_compared", "message": "1 of 2 candidates agree"}})
    screen = Screen("Why?", "", trace)
    trace.end()
    candidates = [{"candidate": 1, "chosen": False}, {"candidate": 2, "chosen": True}]
    screen.end({"effort": "high", "model": "m", "candidates": candidates, "degraded": ["a review"]})
    text = drawn(screen)
    assert "● 0.5" in row(text, "candidate 1")
    assert "● 1" in row(text, "candidate 2")
    assert text.index("candidate 2 ") < text.index("★ chosen")
    assert "1 of 2 candidates agree" in text
    assert "left out: a review" in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_every_step_is_shown_at_every_width(trace: LiveTrace, width: int) -> None:
    """In a narrow terminal with its mark alone."""
    steps = ("approaches", "plan", "execute", "review", "final", "rating")
    for number, step in enumerate(steps, 1):
        trace.add(call(number, step, 0 if step == "approaches" else 1, 0.0, seconds=1.0))
    lines = drawn(Screen("Why? " * 20, "", trace), width).splitlines()
    assert max(map(len, lines)) <= width
    assert [step for step in steps if step[:4] in " ".join(lines)] == list(steps)
    assert sum(line.count("●") for line in lines) == len(steps)


def test_every_loss_is_shown(trace: LiveTrace) -> None:
    """However many decisions there are."""
    for number in range(20):
        trace.add({"events": {"kind": "rated", "candidate": number, "rating": 1, "message": f"event {number}"}})
    screen = Screen("Why?", "", trace)
    screen.end({"degraded": [f"loss {number}" for number in range(20)]})
    text = drawn(screen)
    assert all(f"left out: loss {number}" in text for number in range(20))
    assert "event 19" in text


def test_no_word_of_an_answer_is_lost() -> None:
    """Tags and comparisons are text, and a picture is its address."""
    words = "if a<b and c>d then <answer>42</answer>\n\n<result>\nseven\n</result>\n\n![six](http://x/y.png) `<code>`"
    text = drawn(answer(Reply(words, "stop", "m", {}, {})))
    for part in ("a<b and c>d", "<answer>42</answer>", "<result>", "seven", "http://x/y.png", "six", "<code>"):
        assert part in text


def test_model_text_steers_no_terminal(trace: LiveTrace) -> None:
    """Of an answer, a stage, and a model's name."""
    evil = "a\x1b[2J\x07b"
    screen = Screen(evil, "", trace)
    trace.add({"calls": {**call(1, "plan", 1, 0.0, seconds=1.0)["calls"], "model": evil, "text": evil}})
    screen.end({"model": evil, "degraded": [evil]})
    things = [screen, stage(trace.calls[0]), answer(Reply(evil, "stop", evil, {}, {}))]
    assert "\x1b" not in "".join(map(drawn, things))


@pytest.mark.parametrize(
    ("account", "text"),
    [
        ({}, ""),
        (
            {"calls": 1, "prompt_tokens": 1000, "completion_tokens": 5},
            "1 call, 1,005 tokens (1,000 in prompts, 5 in replies)",
        ),
        ({"calls": 2, "seconds": 1.25, "cost": 0.5}, "2 calls, 1.2 s, $0.5000"),
        ({"calls": 0, "cost": None}, "0 calls, cost unknown"),
    ],
)
def test_one_line_says_what_a_request_took(account: dict[str, Any], text: str) -> None:
    """As far as it is known."""
    assert spent(account) == text
