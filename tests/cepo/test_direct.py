"""A direct answer: one call, as the client wants it."""

from __future__ import annotations

import pytest
from support.desk import Desk, run
from support.scripted import completion

from optillm_cerebras_cepo.core.chat import Message, Step
from optillm_cerebras_cepo.core.errors import NoAnswer


def test_no_effort_is_one_direct_call() -> None:
    """2000 tokens unless the request says otherwise, in the client's own conversation."""
    it = Desk("42", effort="none")
    assert run(it).answer == "42"
    (request,) = it.client.requests
    assert (request.label.step, request.max_tokens) == (Step.DIRECT, 2000)
    assert request.messages == (
        Message("system", "Be exact."),
        *it.caller.request.question.history,
        Message("user", "What is 6 times 7?"),
    )
    run(it, max_tokens=30)
    assert it.client.requests[1].max_tokens == 30


def test_a_direct_answer_cut_at_the_clients_limit_says_so() -> None:
    """The client asked for that limit."""
    outcome = run(Desk(lambda _: completion("4", "length"), effort="none"))
    assert (outcome.answer, outcome.answers[0].finish_reason) == ("4", "length")


def test_an_empty_direct_answer_is_none() -> None:
    """An empty text is never an answer."""
    with pytest.raises(NoAnswer):
        run(Desk(lambda _: completion(""), effort="none"))
