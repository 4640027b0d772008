"""Errors: one root, OpenAI's shape, and no two facts that contradict each other."""

from __future__ import annotations

import pytest
from support.error_kinds import error_kinds

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.errors import CepoError

ALL = error_kinds()


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_a_status_and_openais_shape(kind: type[CepoError]) -> None:
    """Clients read status, message, type, param and code."""
    error = kind("what happened; what to do")
    error.param = "n"
    assert 400 <= error.status < 600
    body = error.body()["error"]
    assert body == {"message": "What happened; what to do.", "type": kind.type, "param": "n", "code": kind.code}


@pytest.mark.parametrize(
    ("message", "param", "sentence"),
    [
        ("n must be at most 8", "n", "n must be at most 8."),
        ("messages[0].content is empty", "messages[0].content", "messages[0].content is empty."),
        ("an answer at http://a/v1", None, "An answer at http://a/v1"),
        ("llama3.3-70b is not served; why?", None, "llama3.3-70b is not served; why?"),
    ],
)
def test_a_message_is_a_sentence(message: str, param: str | None, sentence: str) -> None:
    """Names and addresses keep their spelling."""
    assert CepoError(message, param=param).body()["error"]["message"] == sentence


@pytest.mark.parametrize("kind", ALL)
def test_what_may_succeed_on_a_second_try_ends_its_call_alone(kind: type[CepoError]) -> None:
    """And what discards finished answers ends the whole request."""
    assert kind.scope is errors.ErrorScope.CALL or not kind.retryable
    assert kind.scope is errors.ErrorScope.REQUEST or not kind.discards_answers


def test_what_was_spent_stands_beside_the_error() -> None:
    """Once there is something."""
    error = errors.ApiUnavailable("busy")
    assert set(error.body()) == {"error"}
    error.spent = {"calls": 2, "prompt_tokens": 10, "completion_tokens": 0}
    assert error.body()["cepo_cerebras"] == error.spent


def test_no_failure_of_the_api_discards_finished_answers() -> None:
    """Only the client, the operator, or a stream whose beginning has been read can do that."""
    kinds = {kind for kind in ALL if kind.__module__ == errors.__name__ and kind.discards_answers}
    operators = {errors.BadConfiguration, errors.MissingKey}
    assert kinds == {errors.BadRequest, errors.NoPrice, errors.StreamBroken, errors.Ended} | operators
