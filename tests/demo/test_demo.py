from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from support.ports import nobody_listens
from support.processes import none_left_with, processes_with

from optillm_cerebras_cepo.cli import demo as run
from optillm_cerebras_cepo.cli.demo import run_demo
from optillm_cerebras_cepo.demo.child_process import DemoError
from optillm_cerebras_cepo.simulator.server import Simulator

KEY = "csk-0123456789abcdef"
TREE = str(Path(run.__file__).parents[2])

# Fake OptiLLM: it is healthy at once, and the text of the question says what it does.
FAKE_OPTILLM = """
import http.server, json, os, sys, time

ANSWER = {
    "choices": [{"message": {"content": "7"}}],
    "usage": {"prompt_tokens": 40, "completion_tokens": 12},
    "cepo_cerebras": {"calls": 4, "seconds": 1.25, "degraded": ["review left out"]},
}

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, b"{}")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        question = body["messages"][0]["content"]
        print("2026-01-01 00:00:00,000 - INFO - HTTP Request: with " + os.environ["CEREBRAS_API_KEY"], file=sys.stderr)
        print("2026-01-01 00:00:00,000 - INFO - cepo_cerebras: candidate 1 plan: 5 tokens in 0.1 s", file=sys.stderr)
        if question == "hang":
            time.sleep(60)
        elif question == "die":
            os._exit(3)
        elif question == "refuse":
            self.answer(429, b'{"error": {"message": "Requests per day limit exceeded"}}')
        elif question == "explain":
            self.answer(502, b'{"error": {"message": "The API cannot be reached.", "code": "api_unreachable"}}')
        elif question == "defect":
            self.answer(500, b'{"error": {"message": "The server has an internal error.", "code": null}}')
        elif question == "fail":
            self.answer(500, b"<html>")
        elif question == "none":
            self.answer(200, json.dumps({**ANSWER, "cepo_cerebras": None, "approach": sys.argv}).encode())
        else:
            self.answer(200, json.dumps(ANSWER).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

def main():
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def fake_optillm(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `optillm` is the fake one and the API key is set."""
    (tmp_path / "fake_optillm.py").write_text(FAKE_OPTILLM)
    info = tmp_path / "optillm-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: optillm\nVersion: 9.9\n")
    (info / "entry_points.txt").write_text("[console_scripts]\noptillm = fake_optillm:main\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), TREE]), "CEREBRAS_API_KEY": KEY}


def test_shows_the_steps_then_the_answer_and_its_cost(fake_optillm: dict[str, str]) -> None:
    """The question, each step, the answer, calls, tokens and seconds, and what was left out, in this order."""
    said: list[str] = []
    run_demo("How many?", said.append, fake_optillm)
    command, *rest = said
    assert command.startswith("$ optillm --base-url https://api.cerebras.ai --approach cepo_cerebras --host 127.0.0.1 ")
    assert rest == [
        "Q: How many?",
        "  candidate 1 plan: 5 tokens in 0.1 s",
        "A: 7",
        "4 calls, 40 + 12 tokens (prompts + replies), 1.2 s",
        "note: review left out",
    ]


def test_uses_cerebras_base_url(fake_optillm: dict[str, str]) -> None:
    """Without the /v1, which OptiLLM's Cerebras client must not get."""
    said: list[str] = []
    run_demo("How many?", said.append, {**fake_optillm, "CEREBRAS_BASE_URL": "https://example.com/v1/"})
    assert said[0].startswith("$ optillm --base-url https://example.com --approach ")


@pytest.mark.parametrize("url", ["example.com", "https://example.com/v1?x=1"])
def test_an_invalid_base_url_is_reported_before_anything_starts(url: str) -> None:
    """In one line."""
    said: list[str] = []
    with pytest.raises(DemoError, match=r"^CEREBRAS_BASE_URL [^\n]*$"):
        run_demo("How many?", said.append, {"CEREBRAS_API_KEY": "csk-x", "CEREBRAS_BASE_URL": url})
    assert said == []


def test_a_misspelt_base_url_is_reported_before_anything_starts() -> None:
    """Otherwise the key would go to the default one."""
    said: list[str] = []
    with pytest.raises(DemoError, match=r"^CEREBRAS_BASE_URL is not set; CEREBRAS_URL is: rename it\.$"):
        run_demo("How many?", said.append, {"CEREBRAS_API_KEY": "csk-x", "CEREBRAS_URL": "http://127.0.0.1:9"})
    assert said == []


def test_a_dead_api_is_one_line() -> None:
    """A real optillm, whose log is not shown."""
    said: list[str] = []
    with nobody_listens() as url:
        environ = {**os.environ, "CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": url, "CEPO_CEREBRAS_CALL_ATTEMPTS": "1"}
        with pytest.raises(DemoError) as caught:
            run_demo("How many?", said.append, environ)
    assert "cannot be reached" in str(caught.value)
    assert not [line for line in said if line.startswith("  | ")]


def test_a_misspelt_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the local model answers instead."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    said: list[str] = []
    with pytest.raises(DemoError):
        run_demo("How many?", said.append, {"CEREBRAS_APIKEY": "csk-x"})
    assert said[0].startswith("CEREBRAS_API_KEY is not set; CEREBRAS_APIKEY is: rename it.")


def test_shows_a_reply_of_another_approach(fake_optillm: dict[str, str]) -> None:
    """Without our `cepo_cerebras` object, the answer, the tokens and the seconds are shown."""
    said: list[str] = []
    run_demo("none", said.append, fake_optillm)
    assert said[-2] == "A: 7"
    assert re.match(r"40 \+ 12 tokens \(prompts \+ replies\), \d+\.\d s", said[-1])


@pytest.mark.parametrize(
    ("question", "message", "details"),
    [
        ("explain", r"OptiLLM answered with status 502: The API cannot be reached\.", False),
        ("defect", r"OptiLLM answered with status 500: The server has an internal error\.", True),
        ("refuse", "OptiLLM answered with status 429: Requests per day limit exceeded", False),
        ("fail", r"OptiLLM answered with status 500: no reason given\.", True),
        ("die", r"OptiLLM closed the connection without an answer \(\w+\)\.", True),
    ],
)
def test_the_reason_for_no_answer_is_one_line(
    fake_optillm: dict[str, str], question: str, message: str, details: bool
) -> None:
    """The server's last lines are shown as well, without the key, if the error does not say what to do."""
    said: list[str] = []
    with pytest.raises(DemoError, match=f"^{message}$"):
        run_demo(question, said.append, fake_optillm)
    assert ("  | 2026-01-01 00:00:00,000 - INFO - HTTP Request: with ***" in said) is details
    assert KEY not in "".join(said)


def test_a_missing_local_model_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key and without the extra `demo`."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(DemoError, match=r"xllamacpp.*not installed; run `make venv`, or set CEREBRAS_API_KEY"):
        run_demo("How many?", list[str]().append, {})


def test_leaves_the_signal_handler_as_it_was(fake_optillm: dict[str, str]) -> None:
    """A program that calls this keeps its own handler of SIGTERM."""
    before = signal.getsignal(signal.SIGTERM)
    run_demo("How many?", list[str]().append, fake_optillm)
    assert signal.getsignal(signal.SIGTERM) is before


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")


def start_demo(environ: dict[str, str], question: str) -> subprocess.Popen[str]:
    """Start `cepo-cerebras demo` in its own process group, as a shell does."""
    return subprocess.Popen(
        [sys.executable, "-c", "from optillm_cerebras_cepo.cli.main import main; main()", "demo", question],
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell starts background jobs, such as this suite, with SIGINT ignored; child processes inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@needs_proc
@pytest.mark.parametrize(
    ("send", "status"),
    [
        (lambda pid: os.killpg(pid, signal.SIGINT), 130),
        (lambda pid: os.kill(pid, signal.SIGINT), 130),
        (lambda pid: os.kill(pid, signal.SIGTERM), 130),
        (lambda pid: os.kill(pid, signal.SIGKILL), -signal.SIGKILL),
    ],
    ids=["Ctrl-C", "SIGINT", "SIGTERM", "SIGKILL"],
)
def test_nothing_is_left_running_when_it_is_stopped(
    fake_optillm: dict[str, str], send: Callable[[int], None], status: int
) -> None:
    """During a question, whichever process gets the signal, and without a traceback."""
    mark = uuid.uuid4().hex
    demo = start_demo({**fake_optillm, "MARK": mark}, "hang")
    assert demo.stdout is not None
    for line in demo.stdout:
        if "candidate 1 plan" in line:
            break
    assert len(processes_with(mark)) == 2
    send(demo.pid)
    assert demo.wait(10) == status
    # After SIGKILL the child notices the end of its parent by itself.
    assert none_left_with(mark, 5 if status < 0 else 0)
    assert demo.stderr is not None
    assert demo.stderr.read() == ""


def test_works_with_a_stock_optillm(simulate: Callable[..., Simulator]) -> None:
    """OptiLLM loads the plugin, and the plugin's log lines are shown as the steps."""
    api = simulate(keys=(KEY,), models=("llama-3.3-70b",))
    said: list[str] = []
    environ = {**os.environ, "CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url, "CEPO_CEREBRAS_BESTOFN_N": "1"}
    run_demo("How many?", said.append, environ)
    answer = next(index for index, line in enumerate(said) if line.startswith("A: "))
    steps = [line for line in said[:answer] if line.startswith("  candidate 1 ")]
    assert len(steps) == len(api.chat_calls) == int(said[-1].split()[0])
    assert KEY not in "".join(said)


def test_the_last_lines_of_optillm_are_shown_if_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here it does not know the approach."""
    monkeypatch.setattr(run, "APPROACH", "no-such-approach")
    said: list[str] = []
    with pytest.raises(DemoError, match=r"^OptiLLM ended with status 2 before it was ready\.$"):
        run_demo("How many?", said.append, {**os.environ, "CEREBRAS_API_KEY": KEY})
    assert any("invalid choice: 'no-such-approach'" in line for line in said)
