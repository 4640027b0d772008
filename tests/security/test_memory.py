"""Finished requests do not stay in memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import optillm.server as optillm_server
import pytest
from conftest import KEY
from support.http_server import address, serving
from support.waiting import until
from support.wire import ask, request

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.host import plugin
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.sidecar.admission import ClientKeys, RequestSlots
from optillm_cerebras_cepo.sidecar.app import SidecarApp
from optillm_cerebras_cepo.sidecar.readiness import Readiness
from optillm_cerebras_cepo.sidecar.request_record import Metrics
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

REFUSED = Rule(reply=Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"}))


@pytest.fixture
def url(simulate: Callable[..., Simulator], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """A SidecarApp around OptiLLM's application, in this process."""
    plugin.register()
    monkeypatch.setitem(optillm_server.plugin_approaches, plugin.SLUG, plugin.run)
    app = SidecarApp(
        optillm_server.app,
        keys=ClientKeys([]),
        slots=RequestSlots(5),
        metrics=Metrics(lambda: 0),
        readiness=Readiness(Runtime(), "http://127.0.0.1:9", ["llama3.3-70b"]),
        wanted=["llama3.3-70b"],
        approaches=["cepo_cerebras"],
    )
    monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
    monkeypatch.setitem(optillm_server.server_config, "approach", "cepo_cerebras")

    def started(*rules: Rule) -> str:
        monkeypatch.setitem(optillm_server.server_config, "base_url", simulate(rules=rules).url)
        return address(server)

    with serving(app) as server:
        yield started
        gc.enable()


def alive() -> list[Any]:
    """Return all questions and errors in memory."""
    return [one for one in gc.get_objects() if isinstance(one, Question | CepoError)]


@pytest.mark.parametrize(("rules", "status"), [((), 200), ((REFUSED,), 401)], ids=["answered", "failed"])
@pytest.mark.parametrize("more", ["", ', "stream": true'], ids=["whole", "stream"])
def test_a_finished_request_is_freed(url: Callable[..., str], rules: tuple[Rule, ...], status: int, more: str) -> None:
    """At once, without garbage collection: a cycle would keep 230 MB of a question of 16 MiB."""
    where = url(*rules)
    body = '{"messages": [{"role": "user", "content": "hi"}], "cepo_cerebras_effort": "none"' + more + "}"
    gc.collect()
    gc.disable()
    before = len(alive())
    for _ in range(3):
        assert ask(where, request(body=body.encode())).status == (200 if more else status)
    until(lambda: len(alive()) <= before, otherwise=lambda: f"{alive()}")
