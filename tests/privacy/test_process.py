"""A real `optillm` process: what it writes to its output and its disk while requests end in every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.optillm_process import Server, optillm
from support.planted import BEARER, BODY, KEY, MESSAGES, QUOTE, REPLY, kinds
from support.quiet import quiet

from optillm_cerebras_cepo.simulator import Reply, Rule, Simulator

PAGE = f"<html><body>{QUOTE}</body></html>"
SMALL: dict[str, Any] = {
    f"cepo_cerebras_{name}": 1 for name in ("bestofn_n", "planning_n", "planning_m", "call_attempts")
}
DIRECT: dict[str, Any] = {"cepo_cerebras_effort": "none", "cepo_cerebras_call_attempts": 1}
QUOTING = {"message": QUOTE, "code": KEY, "param": QUOTE}
RULES = (
    Rule(r"\[400\]", "all", reply=Reply(400, QUOTING)),
    Rule(r"\[401\]", "all", reply=Reply(401, QUOTING)),
    Rule(r"\[page\]", "all", reply=Reply(200, PAGE, content_type="text/html")),
    Rule(r"\[slow\]", "all", text=REPLY, latency=60.0),
    Rule(text=f"{REPLY} Rating: [[1]]"),
)
OPTILLMS_OWN = ("Request data: ", "{'model'", "Intercepted Bearer Token: ", "API response: ")
"""How the lines begin that OptiLLM's server writes by itself at DEBUG, of any request to any approach."""


def asking(case: str = "", **fields: Any) -> dict[str, Any]:
    """The planted conversation, with the name of a rule in its question."""
    *before, last = MESSAGES
    return {**BODY, "messages": [*before, {**last, "content": f"{last['content']} {case}"}], **fields}


ENDINGS: tuple[tuple[dict[str, Any], int], ...] = (
    (asking(**SMALL), 200),
    (asking(**SMALL, stream=True), 200),
    (asking(**DIRECT), 200),
    (asking(**DIRECT, stream=True), 200),
    (asking("[400]", **SMALL), 400),
    (asking("[400]", **DIRECT, stream=True), 200),
    (asking("[401]", **SMALL), 401),
    (asking("[page]", **SMALL), 502),
    (asking(temperature=QUOTE), 400),
    (asking(cepo_cerebras_model=KEY), 400),
)


@pytest.fixture
def api(simulate: Callable[..., Simulator]) -> Simulator:
    """An API that quotes what it is asked."""
    return simulate(rules=RULES)


@pytest.fixture(params=["info, and the SDK's debug", "debug"])
def level(request: pytest.FixtureRequest) -> str:
    """Of OptiLLM's log."""
    return str(request.param).partition(",")[0]


@pytest.fixture
def server(api: Simulator, level: str, tmp_path: Path) -> Iterator[Server]:
    """An optillm whose home is this folder."""
    environ = {"CEREBRAS_API_KEY": KEY, "HOME": str(tmp_path)} | ({"CEREBRAS_LOG": "debug"} if level == "info" else {})
    with optillm(
        "--base-url", api.url, "--approach", "cepo_cerebras", "--log", level, environ=environ, folder=str(tmp_path)
    ) as running:
        yield running


def test_a_process_tells_nothing_of_its_requests(server: Server, api: Simulator, level: str, tmp_path: Path) -> None:
    """Neither of those that are answered and those that fail, nor of those that are hung up on; nothing is on disk."""
    for body, status in ENDINGS:
        assert server.ask(body, BEARER).status_code == status
    for body in (asking("[slow]", **SMALL), asking("[slow]", **DIRECT, stream=True)):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=1)
    quiet(api)
    # Of the client that OptiLLM makes: the SDK does speak. OptiLLM 0.3 sets the level of its own log only.
    assert "Request options" in server.log or level == "debug"
    assert tell_tales(server.log, level) == []
    assert [path for path in files(tmp_path) if kinds(path.read_text(errors="replace"))] == []


def test_prompts_are_where_the_operator_asks_for_them_and_nowhere_else(api: Simulator, tmp_path: Path) -> None:
    """In OptiLLM's conversation log; the keys are not even there."""
    home, folder = tmp_path / "home", tmp_path / "conversations"
    home.mkdir()
    arguments = ["--base-url", api.url, "--approach", "cepo_cerebras", "--log-conversations"]
    environ = {"CEREBRAS_API_KEY": KEY, "HOME": str(home)}
    with optillm(*arguments, "--conversation-log-dir", str(folder), environ=environ, folder=str(home)) as server:
        assert server.ask(asking(**SMALL), BEARER).status_code == 200
        assert server.ask(asking("[401]", **SMALL), BEARER).status_code == 401
    written = "".join(path.read_text() for path in files(folder))
    assert {"system", "earlier", "previous", "user", "reply"} <= kinds(written)
    assert not kinds(written) & {"key", "bearer"}
    assert tell_tales(server.log, "info") == []
    assert [path for path in files(home) if kinds(path.read_text(errors="replace"))] == []


def tell_tales(log: str, level: str) -> list[str]:
    """The lines with something planted in them, but OptiLLM's own of this level."""
    own = tuple(f"DEBUG - {words}" for words in OPTILLMS_OWN) if level == "debug" else ()
    return [line for line in log.splitlines() if kinds(line) and not any(words in line for words in own)]


def files(folder: Path) -> list[Path]:
    """All files below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]
