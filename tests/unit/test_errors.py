"""Errors: one root, OpenAI's shape, and no two facts that contradict each other."""

from __future__ import annotations

import pytest
from support.error_kinds import error_kinds

from optillm_cerebras_cepo import errors
from optillm_cerebras_cepo.errors import CepoError

ALL = error_kinds()


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_a_status_and_openais_shape(kind: type[CepoError]) -> None:
    """Clients read status, message, type, param and code."""
    error = kind("what happened; what to do")
    error.param = "n"
    assert 400 <= error.status < 600
    body = error.body()["error"]
    assert body == {"message": "what happened; what to do", "type": kind.type, "param": "n", "code": kind.code}


@pytest.mark.parametrize("kind", ALL)
def test_no_error_is_both_transient_and_fatal(kind: type[CepoError]) -> None:
    """What may succeed on a second try cannot be hopeless for all calls."""
    assert not (kind.transient and kind.fatal)


def test_what_was_spent_stands_beside_the_error() -> None:
    """Once there is something."""
    error = errors.ApiUnavailable("busy")
    assert set(error.body()) == {"error"}
    error.spent = {"calls": 2, "prompt_tokens": 10, "completion_tokens": 0}
    assert error.body()["cepo_cerebras"] == error.spent


@pytest.mark.parametrize("kind", ALL)
def test_all_that_is_fatal_is_hopeless_but_the_end_of_the_time(kind: type[CepoError]) -> None:
    """No call can be made any more, but what is there can be chosen among."""
    assert kind("x").hopeless == (kind.fatal and kind is not errors.DeadlineExceeded)
