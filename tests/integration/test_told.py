"""What the example backend says to anybody: no key, and no text of a question but in the answer to it."""

from __future__ import annotations

import subprocess

import pytest
from conftest import KEY
from support import web
from support.backend import CLIENT_KEY, FOLDER, House, environment
from support.planted import kinds
from support.waiting import until

pytestmark = pytest.mark.slow

WORD = "planted-user"
UNFINISHED = [{"role": "user", "content": WORD}, {"role": "assistant", "content": WORD}]


def test_the_sidecar_wants_a_key_that_the_backend_has(house: House) -> None:
    """Both keys come from files here, and neither of them goes to the other server."""
    assert house.sidecar.ask({"messages": [{"role": "user", "content": "?"}]}).status_code == 401
    assert house.backend.ask("?").headers["x-answered-by"] == "sidecar"
    assert house.backend.ask("FAILING").headers["x-answered-by"] == "cerebras"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("layer", ["speed", "reasoning"])
def test_logs(house: House, layer: str, stream: bool) -> None:
    """However a question ends: both servers have lines about it, without its text, its answer, or a key."""
    before = len(house.backend.server.lines), len(house.sidecar.lines)
    statuses = [
        house.backend.ask(text, layer, stream=stream, **more).status_code
        for text, more in (
            (WORD, {}),
            (f"FAILING {WORD}", {}),
            (f"FAILING QUOTED {WORD}", {}),
            (f"CUT {WORD}", {}),
            ("", {"messages": UNFINISHED}),
            (WORD, {WORD: WORD}),
        )
    ]
    assert {400, 200} <= set(statuses)
    for server, begin in zip((house.backend.server, house.sidecar), before, strict=True):
        until(lambda of=server, at=begin: "".join(of.lines[at:]).count("/chat") >= 5, lambda of=server: of.log)  # type: ignore[misc]
        lines = "".join(server.lines[begin:])
        assert kinds(lines) == set()
        assert KEY not in lines


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ('{"messages": [{"role": "user", "content": "\\ud800"}]}', "messages.0.content"),
        ('{"\\ud800": 1, "messages": [{"role": "user", "content": "?"}]}', None),
        ("no JSON", "0"),
    ],
)
def test_a_body_that_cannot_be_read(house: House, text: str, param: str | None) -> None:
    """Half of a surrogate pair, which JSON can spell, or no JSON: 400, and no trace in the log."""
    headers = {"content-type": "application/json"}
    response = web.post(f"{house.backend.server.url}/chat", content=text, headers=headers)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert "Traceback" not in house.backend.server.log


def test_settings_that_cannot_be() -> None:
    """The error that ends the start names the settings, not their values."""
    environ = {"CEPO_URL": f"{CLIENT_KEY}@nowhere"}  # and no key for direct calls
    command = [str(environment() / ".venv/bin/python"), "-c", "from app.settings import Settings; Settings()"]
    done = subprocess.run(command, cwd=FOLDER, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cepo_url" in done.stderr
    assert "cerebras_api_key" in done.stderr
    assert kinds(done.stderr) == set()
