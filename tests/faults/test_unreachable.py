"""An API that is not there: a port that nobody listens on, a name that nobody knows, and one that comes back."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from support.ports import nobody_listens

from faults.asking import CALLS, ONE, TEXT, ask
from optillm_cerebras_cepo import errors
from optillm_cerebras_cepo.simulator import Rule, Simulator

EFFORTS = ["none", "medium", "auto"]


@pytest.mark.parametrize("effort", EFFORTS)
def test_connection_refused(effort: str) -> None:
    """502, after the tries of one call: the list of models comes first, and nothing is planned without it."""
    with nobody_listens() as url:
        asked = ask(url, effort=effort)
    assert isinstance(asked.error, errors.ApiUnreachable)
    assert asked.error.status == 502
    assert asked.calls == []


@pytest.mark.parametrize("effort", EFFORTS)
def test_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch, effort: str) -> None:
    """502, and the name is looked up no more often than one call is tried."""
    looked_up: list[Any] = []

    def unknown(host: Any, *_: Any, **__: Any) -> Any:
        looked_up.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    asked = ask("http://cerebras.invalid", effort=effort, call_attempts=3)
    assert isinstance(asked.error, errors.ApiUnreachable)
    assert asked.error.status == 502
    assert asked.calls == []
    assert looked_up == ["cerebras.invalid"] * 3


def test_api_that_went_away_is_found_again(simulate: Callable[..., Simulator]) -> None:
    """Connections that were closed while nobody used them cost no request its answer."""
    api = simulate(rules=(Rule(text=TEXT, fault="close", times=1), Rule(text=TEXT)))
    for calls in (CALLS + 1, CALLS):
        before = len(api.chat_calls)
        assert ask(api.url, **ONE).done.degraded == ()
        assert len(api.chat_calls) - before == calls
