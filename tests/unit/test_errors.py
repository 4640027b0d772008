"""Errors: one root, OpenAI's shape, and no two facts that contradict each other."""

from __future__ import annotations

import pytest

from optillm_cerebras_cepo import errors
from optillm_cerebras_cepo.errors import CepoError

ALL = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, CepoError)]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_a_status_and_openais_shape(kind: type[CepoError]) -> None:
    """Clients read status, message, type, param and code."""
    error = kind("what happened; what to do", param="n")
    assert 400 <= error.status < 600
    body = error.body()["error"]
    assert body == {"message": "what happened; what to do", "type": kind.type, "param": "n", "code": kind.code}


@pytest.mark.parametrize("kind", ALL)
def test_no_error_is_both_transient_and_fatal(kind: type[CepoError]) -> None:
    """What may succeed on a second try cannot be hopeless for all calls."""
    assert not (kind.transient and kind.fatal)
