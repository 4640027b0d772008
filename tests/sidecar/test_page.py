"""`serve --page`: where its traces come from, what it needs, and that nothing changes without it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from pytest_mock import MockerFixture
from support import web
from support.optillm_process import Server
from support.sidecar_process import sidecar
from support.waiting import PATIENCE, until
from werkzeug.test import Client

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.sidecar import serve
from optillm_cerebras_cepo.sidecar.errors import ServerFull
from optillm_cerebras_cepo.sidecar.page import MOST_AT_ONCE, RENDER, REQUESTS, Page, summary
from optillm_cerebras_cepo.simulator.server import Simulator
from optillm_cerebras_cepo.trace.store import MemoryTraces

QUESTION = "What is 6 times 7?"


@contextmanager
def paged(simulate: Callable[..., Simulator], *arguments: str, **environ: str) -> Iterator[Server]:
    """Run a sidecar with the page."""
    own = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": simulate().url, "CEPO_CEREBRAS_EFFORT": "low"}
    with sidecar("--page", *arguments, environ=own | environ) as server:
        yield server


def ask(server: Server, **more: Any) -> dict[str, Any]:
    """Ask, and return the trace of the request that the page has."""
    reply = server.ask({"messages": [{"role": "user", "content": QUESTION}], **more})
    listed = web.get(f"{server.url}/page/requests").json()["requests"]
    (mine,) = [one for one in listed if one["request_id"] == reply.headers["x-request-id"]]
    trace = web.get(f"{server.url}/page/requests/{mine['id']}").json()
    assert mine == summary(trace)
    return dict(trace)


def test_traces_are_stored_in_memory(simulate: Callable[..., Simulator], tmp_path: Path) -> None:
    """Without texts, the latest first; whole replies, streams and failures."""
    with paged(simulate) as server:
        for more, status in (({}, 200), ({"cepo_cerebras_max_calls": 1, "cepo_cerebras_effort": "none"}, 200)):
            trace = ask(server, **more)
            assert trace["status"] == status
            assert QUESTION not in json.dumps(trace)
        reply = server.ask({"messages": [{"role": "user", "content": QUESTION}], "stream": True})
        assert "[DONE]" in reply.text
        listed = web.get(f"{server.url}/page/requests").json()["requests"]
        assert [one["effort"] for one in listed] == ["low", "none", "low"]
        metrics = web.get(f"{server.url}/metrics").text
        assert 'cepo_cerebras_requests_total{approach="",effort="",path="page",status="200"}' in metrics


def test_traces_have_texts_where_the_operator_asks_for_them(simulate: Callable[..., Simulator]) -> None:
    """By the same setting as traces in a folder."""
    with paged(simulate, CEPO_CEREBRAS_TRACE_TEXT="true") as server:
        assert QUESTION in json.dumps(ask(server)["calls"][0]["messages"])


def test_a_folder_of_traces_is_shown(simulate: Callable[..., Simulator], tmp_path: Path) -> None:
    """The traces of before the start as well."""
    with paged(simulate, "--trace-dir", str(tmp_path)) as server:
        trace = ask(server)
        (file,) = tmp_path.glob("*.json")
        assert json.loads(file.read_text()) == trace
    with paged(simulate, "--trace-dir", str(tmp_path)) as server:
        listed = web.get(f"{server.url}/page/requests").json()["requests"]
        assert [one["id"] for one in listed] == [trace["id"]]


def test_a_failed_request_is_listed_with_its_code(simulate: Callable[..., Simulator]) -> None:
    """An error that came before any work on the request has no trace."""
    with paged(simulate) as server:
        server.ask({"messages": [{"role": "user", "content": QUESTION}], "cepo_cerebras_model": "no-such-model"})
        (failed,) = until(lambda: web.get(f"{server.url}/page/requests").json()["requests"])
        assert (failed["status"], failed["error"]) == (404, "model_not_found")


def test_few_requests_for_data_are_answered_at_once(mocker: MockerFixture) -> None:
    """A further one is refused; the page's files need no place."""
    page = Page(MemoryTraces())
    begun, finish = threading.Semaphore(0), threading.Event()

    def slow(text: str) -> str:
        begun.release()
        assert finish.wait(PATIENCE)
        return text

    mocker.patch("optillm_cerebras_cepo.sidecar.page.render", side_effect=slow)
    client = Client(page, use_cookies=False)
    with ThreadPoolExecutor(MOST_AT_ONCE) as threads:
        running = [threads.submit(client.post, RENDER, json={"text": "x"}) for _ in range(MOST_AT_ONCE)]
        for _ in running:
            assert begun.acquire(timeout=PATIENCE)
        for path in (RENDER, REQUESTS):
            with pytest.raises(ServerFull):
                client.open(path, method="POST" if path == RENDER else "GET", json={"text": "x"})
        assert client.get("/").status_code == 200
        finish.set()
        assert [one.result().status_code for one in running] == [200] * MOST_AT_ONCE
    assert client.get(REQUESTS).json == {"requests": []}


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    serve.check_page_packages()
    monkeypatch.setitem(sys.modules, "nh3", None)
    with pytest.raises(BadConfiguration, match=r"^--page needs packages that are missing: pip install nh3$"):
        serve.check_page_packages()


def test_without_the_page_its_packages_are_not_needed() -> None:
    """The sidecar's modules are imported without them."""
    program = """
import sys
sys.modules |= dict.fromkeys(("nh3", "markdown_it", "latex2mathml"))
from optillm_cerebras_cepo.sidecar import app, serve
try:
    serve.check_page_packages()
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install markdown-it-py nh3 latex2mathml" in done.stdout
