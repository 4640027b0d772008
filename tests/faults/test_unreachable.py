"""An unreachable API: a closed port, an unknown host name, and an API that becomes reachable again."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from support.ports import nobody_listens

from faults.asking import CALLS, ONE, TEXT, ask
from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.simulator import Rule, Simulator

EFFORTS = ["none", "medium", "auto"]


@pytest.mark.parametrize("effort", EFFORTS)
def test_connection_refused(effort: str) -> None:
    """502 after the attempts of one call, the list of models, without which nothing is planned."""
    with nobody_listens() as url:
        run = ask(url, effort=effort)
    assert isinstance(run.error, errors.ApiUnreachable)
    assert run.error.status == 502
    assert run.calls == []


@pytest.mark.parametrize("effort", EFFORTS)
def test_unknown_host_name(monkeypatch: pytest.MonkeyPatch, effort: str) -> None:
    """502; the name is looked up at most once for each attempt of one call."""
    looked_up: list[Any] = []

    def unknown(host: Any, *_: Any, **__: Any) -> Any:
        looked_up.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    run = ask("http://cerebras.invalid", effort=effort, call_attempts=3)
    assert isinstance(run.error, errors.ApiUnreachable)
    assert run.error.status == 502
    assert run.calls == []
    assert looked_up == ["cerebras.invalid"] * 3


def test_api_that_becomes_reachable_again(simulate: Callable[..., Simulator]) -> None:
    """Idle connections that were closed do not make a request fail."""
    api = simulate(rules=(Rule(text=TEXT, fault="close", times=1), Rule(text=TEXT)))
    for calls in (CALLS + 1, CALLS):
        before = len(api.chat_calls)
        assert ask(api.url, **ONE).result.degraded == ()
        assert len(api.chat_calls) - before == calls
