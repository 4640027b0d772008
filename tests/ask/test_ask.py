"""`cepo-cerebras ask` as a process, against the simulated API: what it prints where, and its exit status."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.ports import nobody_listens
from support.sidecar_process import sidecar
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.cli import ask as ask_command
from optillm_cerebras_cepo.cli.main import main
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

KEY = "csk-0123456789abcdef"
COMMAND = str(Path(sys.executable).with_name("cepo-cerebras"))
TREE = str(Path(__file__).parents[2])
Simulate = Callable[..., Simulator]
ANSWER = r"The answer is \(6 \times 7\), so **42**."
SMALL = {"CEPO_CEREBRAS_BESTOFN_N": "1", "CEPO_CEREBRAS_PLANNING_N": "1", "CEPO_CEREBRAS_PLANNING_M": "1"}


@pytest.fixture
def api(simulate: Simulate) -> Simulator:
    """An API that gives one answer to everything."""
    return simulate(keys=(KEY,), rules=(Rule(text=ANSWER),))


def environ(api: str, **more: str) -> dict[str, str]:
    """Return the environment of a user of this API."""
    ours = {
        "CEREBRAS_API_KEY": KEY,
        "CEREBRAS_BASE_URL": api,
        "PYTHONPATH": TREE,
        "CEPO_CEREBRAS_HEDGED_CALLS": "false",
    }
    return {**os.environ, **ours, **SMALL, **more}


def ask(api: str, *arguments: str, given: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run `cepo-cerebras ask` with this standard input until it ends."""
    command = [COMMAND, "ask", *arguments]
    env = environ(api, **more)
    return subprocess.run(command, input=given, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_the_answer_goes_to_standard_output_and_progress_to_standard_error(api: Simulator) -> None:
    """A line for each call, and at the end what was spent."""
    done = ask(api.url, "What is 6 times 7?")
    assert (done.returncode, done.stdout) == (0, ANSWER + "\n")
    *calls, spent = done.stderr.splitlines()
    assert [line.split(":")[0] for line in calls] == [
        f"candidate 1 {step}" for step in ("plan", "execute", "review", "final")
    ]
    assert spent.startswith(f"{len(api.chat_calls)} calls, {api.usage.total_tokens:,} tokens ")
    assert KEY not in done.stdout + done.stderr


def test_quiet_prints_the_answer_alone(api: Simulator) -> None:
    """As it is."""
    done = ask(api.url, "--quiet", "--effort", "none", "What is 6 times 7?")
    assert (done.returncode, done.stdout, done.stderr) == (0, ANSWER + "\n", "")


def test_json_is_the_reply_with_its_trace(api: Simulator) -> None:
    """One object."""
    done = ask(api.url, "--json", "What is 6 times 7?")
    reply = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert reply["choices"][0]["message"]["content"] == ANSWER
    assert reply["usage"]["total_tokens"] == api.usage.total_tokens
    assert reply["cepo_cerebras"]["calls"] == len(reply["trace"]["calls"]) == 4


def test_json_of_a_failure_is_the_error(simulate: Simulate) -> None:
    """With status 1, and the same in a line on standard error."""
    api = simulate(keys=("csk-another",))
    done = ask(api.url, "--json", "What is 6 times 7?")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (1, "wrong_api_key")
    assert done.stderr.count("\n") == 1


def prompts(api: Simulator) -> list[dict[str, Any]]:
    """Return the messages of the first call."""
    return list(api.chat_calls[0].body["messages"])


def test_the_question_comes_from_arguments_files_and_standard_input(api: Simulator, tmp_path: Path) -> None:
    """Together, in this order; and the system prompt before."""
    file = tmp_path / "more.txt"
    file.write_text("from a file\n")
    done = ask(api.url, "--effort", "none", "--system", "Be exact.", "--file", str(file), "-", given="from a pipe\n")
    assert done.returncode == 0, done.stderr
    system, user = prompts(api)
    assert system == {"role": "system", "content": "Be exact."}
    assert user == {"role": "user", "content": "from a pipe\n\nfrom a file"}


def test_a_piped_question_needs_no_argument(api: Simulator) -> None:
    """As in `cat question | cepo-cerebras ask`."""
    assert ask(api.url, "--effort", "none", given="What is 6 times 7?").returncode == 0
    assert prompts(api)[-1]["content"] == "What is 6 times 7?"


def test_a_picture_is_part_of_the_question(api: Simulator, tmp_path: Path) -> None:
    """Which then cannot be planned. The simulated models take no pictures, so there is no answer."""
    picture = tmp_path / "dot.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert ask(api.url, "--image", str(picture), "What is this?").returncode == 1
    text, image = prompts(api)[-1]["content"]
    assert text == {"type": "text", "text": "What is this?"}
    assert image["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="
    assert len(api.chat_calls) == 1


def test_options_choose_model_and_effort(api: Simulator) -> None:
    """And a seed."""
    done = ask(api.url, "--json", "--model", "llama3.1-8b", "--effort", "low", "--seed", "7", "Why?")
    ours = json.loads(done.stdout)["cepo_cerebras"]
    assert (ours["model"], ours["effort"]) == ("llama3.1-8b", "low")
    seeds = [call.body["seed"] for call in api.chat_calls]
    ask(api.url, "--json", "--model", "llama3.1-8b", "--effort", "low", "--seed", "8", "Why?")
    assert not set(seeds) & {call.body["seed"] for call in api.chat_calls[len(seeds) :]}


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--efort", "low", "Why?"], 2, "did you mean --effort?"),
        (["--effort", "huge", "Why?"], 2, "invalid choice"),
        (["--image", "a.txt", "Why?"], 2, "no picture by its name"),
        (["--image", "a.png"], 2, "what to ask about the picture"),
        (["What", "is", "it?"], 2, "in quotes"),
        (["-"], 2, "question is empty"),
        (["--file", "no-such-file"], 1, "cannot be read"),
        (["--image", "no-such.png", "Why?"], 1, "cannot be read"),
        (["--model", "no-such-model", "Why?"], 1, "does not serve"),
        (["--server", "nowhere", "Why?"], 2, "--server must be an address"),
        (["--server", "127.0.0.1:8080", "Why?"], 2, "--server must be an address"),
        (["--server", "", "Why?"], 2, "--server must be an address"),
        (["a\udcffb"], 1, "not text in UTF-8"),
    ],
)
def test_what_is_wrong_is_one_line(
    api: Simulator,
    arguments: list[str],
    status: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And the exit status tells wrong usage from a failure."""
    for name, value in {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ask_command, "prepare_process", lambda: None)  # it would change this process for other tests
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(SystemExit) as caught:
        main(["ask", *arguments])
    printed = capsys.readouterr()
    assert (caught.value.code, printed.out) == (status, "")
    assert words in printed.err
    assert printed.err.count("\n") == 1


def test_without_a_key_it_says_what_to_do(api: Simulator) -> None:
    """Three ways; or which variable is misspelt."""
    done = ask(api.url, "Why?", CEREBRAS_API_KEY="")
    assert done.returncode == 1
    assert all(way in done.stderr for way in ("CEREBRAS_API_KEY", "--server", "cepo-cerebras demo"))
    assert "CEREBRAS_APIKEY is: rename it" in ask(api.url, "Why?", CEREBRAS_API_KEY="", CEREBRAS_APIKEY="x").stderr


def test_a_request_that_fails_says_what_was_spent(simulate: Simulate) -> None:
    """Calls and tokens that the user pays for."""
    api = simulate(keys=(KEY,), rules=(Rule(reply=Reply(400, {"message": "no", "code": "wrong"})),))
    done = ask(api.url, "Why?")
    assert done.returncode == 1
    assert f"Spent: {len(api.chat_calls)} call" in done.stderr.splitlines()[-1]


def test_a_server_answers_as_this_process_does(api: Simulator) -> None:
    """With the client's key, and its errors are the server's."""
    server_environ = environ(api.url, CEPO_CEREBRAS_CLIENT_KEY="client-0123456789abcdef")
    with sidecar(environ=server_environ) as server:
        done = ask(
            "http://127.0.0.1:9", "--server", server.url, "Why?", CEPO_CEREBRAS_CLIENT_KEY="client-0123456789abcdef"
        )
        assert (done.returncode, done.stdout) == (0, ANSWER + "\n")
        assert len(done.stderr.splitlines()) == 5
        as_json = ask(
            "http://127.0.0.1:9",
            "--server",
            f"{server.url}/v1",
            "--json",
            "Why?",
            CEPO_CEREBRAS_CLIENT_KEY="client-0123456789abcdef",
        )
        assert len(json.loads(as_json.stdout)["trace"]["calls"]) == 4
        refused = ask("http://127.0.0.1:9", "--server", server.url, "Why?")
    assert refused.returncode == 1
    assert "key" in refused.stderr


def test_a_server_that_does_not_answer_is_one_line() -> None:
    """With what to do."""
    with nobody_listens() as url:
        done = ask("http://127.0.0.1:9", "--server", url, "Why?")
    assert done.returncode == 1
    assert "start one with `cepo-cerebras serve`" in done.stderr
    assert done.stderr.count("\n") == 1


@contextmanager
def asking(api: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `cepo-cerebras ask` beside the test."""
    with subprocess.Popen(
        [COMMAND, "ask", *arguments],
        env=environ(api),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job ignores it
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("by_server", [False, True], ids=["here", "by a server"])
def test_ctrl_c_gives_up_the_calls_and_says_what_was_spent(simulate: Simulate, by_server: bool) -> None:
    """At once: no call is made after it. Exit status 130."""
    api = simulate(keys=(KEY,), rules=(Rule(held=True),))

    def interrupted(*arguments: str) -> tuple[int, str]:
        with asking(api.url, *arguments, "Why?") as process:
            until(lambda: api.held == 1)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
        return process.returncode, errors

    if by_server:
        with sidecar(environ=environ(api.url)) as server:
            status, errors = interrupted("--server", server.url)
            until(lambda: api.held == 0)
    else:
        status, errors = interrupted()
        until(lambda: api.held == 0)
    assert status == 130
    # A server cannot say any more what was spent; the client may not have heard of the call yet.
    assert errors.splitlines()[-1].startswith("cepo-cerebras: Stopped." + ("" if by_server else " Spent: 1 call, "))
    assert "Traceback" not in errors
    assert len(api.chat_calls) == 1


def test_a_question_may_begin_with_a_dash(api: Simulator) -> None:
    """After `--`, as everywhere."""
    assert ask(api.url, "--quiet", "--effort", "none", "--", "-5+3").returncode == 0
    assert prompts(api)[-1]["content"] == "-5+3"


class Terminal:
    """`cepo-cerebras ask` in a terminal of its own."""

    def __init__(self, api: str, *arguments: str, stdout_to_file: bool = False) -> None:
        self.seen = ""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._pid, self._file = pty.fork()
        if self._pid == 0:  # pragma: no cover - the child
            if stdout_to_file:
                os.dup2(self._output.fileno(), 1)
            os.execve(
                COMMAND, [COMMAND, "ask", *arguments], environ(api, TERM="xterm-256color", COLUMNS="100", LINES="40")
            )

    def close(self) -> None:
        """End the process."""
        self._output.close()
        os.close(self._file)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._file, line.encode() + b"\n")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._file, b"\x03")

    def output(self) -> str:
        """Return what the process has written to its standard output, where that is a file."""
        self._output.seek(0)
        return self._output.read().decode()

    def expect(self, text: str) -> None:
        """Read until this is seen; forget all up to it."""
        while text not in self.seen:
            part = os.read(self._file, 65536).decode(errors="replace")
            assert part, self.seen
            self.seen += part
        self.seen = self.seen.partition(text)[2]

    def rest(self) -> str:
        """Read to the end of the process."""
        while True:
            try:
                part = os.read(self._file, 65536)
            except OSError:  # the process has ended
                return self.seen
            if not part:
                return self.seen
            self.seen += part.decode(errors="replace")


@pytest.mark.timeout(PATIENCE)
def test_a_conversation_in_a_terminal(api: Simulator) -> None:
    """Each question follows the turns before it; commands change the effort, show the trace, and forget the turns."""
    with closing(Terminal(api.url)) as terminal:
        terminal.expect("> ")
        terminal.type("/effort none")
        terminal.expect("> ")
        terminal.type("What is 6 times 7?")
        terminal.expect("6 × 7")  # the answer, with LaTeX as Unicode
        terminal.expect("> ")
        terminal.type("And twice that?")
        terminal.expect("6 × 7")
        terminal.expect("> ")
        terminal.type("/trace")
        terminal.expect("direct")
        terminal.expect("> ")
        terminal.type("/what")
        terminal.expect("/effort none|low")
        terminal.expect("> ")
        terminal.type("/effort huge")
        terminal.expect("takes one of")
        terminal.expect("> ")
        terminal.type("/new")
        terminal.expect("> ")
        terminal.type("Once more?")
        terminal.expect("6 × 7")
        terminal.expect("> ")
        terminal.type("/quit")
        terminal.rest()
    roles = [[message["role"] for message in call.body["messages"]] for call in api.chat_calls]
    assert roles == [["user"], ["user", "assistant", "user"], ["user"]]


@pytest.mark.timeout(PATIENCE)
def test_ctrl_c_stops_an_answer_and_not_the_conversation(simulate: Simulate) -> None:
    """`/trace` then shows the stopped request."""
    api = simulate(keys=(KEY,), rules=(Rule(times=1, held=True), Rule(text=ANSWER)))
    with closing(Terminal(api.url)) as terminal:
        terminal.expect("> ")
        terminal.type("What is 6 times 7?")
        until(lambda: api.held == 1)
        terminal.interrupt()
        terminal.expect("Stopped. Spent: 1 call")
        terminal.expect("> ")
        terminal.type("/effort none")
        terminal.expect("> ")
        terminal.type("Again?")
        terminal.expect("6 × 7")
        terminal.expect("> ")
        terminal.type("/quit")
        terminal.rest()
    assert [message["role"] for message in api.chat_calls[-1].body["messages"]] == ["user"]


def test_a_conversation_writes_answers_alone_to_a_file(api: Simulator) -> None:
    """With its prompts and what its commands say on standard error."""
    with closing(Terminal(api.url, stdout_to_file=True)) as terminal:
        terminal.type("/effort none")
        terminal.expect("effort: none")
        terminal.type("What is 6 times 7?")
        terminal.expect("1 call")
        terminal.type("/quit")
        terminal.rest()
        assert terminal.output() == ANSWER + "\n"


@pytest.mark.timeout(PATIENCE)
def test_a_terminal_shows_a_table_and_every_step(api: Simulator) -> None:
    """With `--show plans` the text of each step as well."""
    with closing(Terminal(api.url, "--show", "plans", "What is 6 times 7?")) as terminal:
        shown = terminal.rest()
    for title in ("plan", "execute", "review", "final"):
        assert f"candidate 1 {title}" in shown
    assert "★ chosen" in shown
    assert "4 calls, " in shown
