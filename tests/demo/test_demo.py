"""The demo: who answers, what it says, and that nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from support.ports import nobody_listens
from support.processes import none_left_with, processes_with
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.cli import demo
from optillm_cerebras_cepo.demo.child_process import DemoError
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.server import Simulator

KEY = "csk-0123456789abcdef"
COMMAND = str(Path(sys.executable).with_name("cepo-cerebras"))
TREE = str(Path(demo.__file__).parents[2])


def start(question: str = "How many?", **environ: str) -> subprocess.Popen[str]:
    """Start `cepo-cerebras demo` in its own process group, as a shell does."""
    return subprocess.Popen(
        [COMMAND, "demo", question],
        env={**os.environ, "PYTHONPATH": TREE, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell starts background jobs, such as this suite, with SIGINT ignored; child processes inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_with_a_key_the_api_answers(simulate: Callable[..., Simulator]) -> None:
    """Each step on standard error, the answer and what to do next on standard output."""
    api = simulate(keys=(KEY,), rules=(Rule(text="It is 42."),))
    process = start(CEREBRAS_API_KEY=KEY, CEREBRAS_BASE_URL=api.url)
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert output.startswith("It is 42.\n\nNext:\n")
    assert len(output.splitlines()) == 6
    assert len([line for line in errors.splitlines() if line.startswith("candidate ")]) == len(api.chat_calls) == 24
    assert KEY not in output + errors


def test_a_dead_api_is_one_line() -> None:
    """With status 1."""
    with nobody_listens() as url:
        process = start(CEREBRAS_API_KEY=KEY, CEREBRAS_BASE_URL=url, CEPO_CEREBRAS_CALL_ATTEMPTS="1")
        output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (1, "")
    last = errors.splitlines()[-1]
    assert last.startswith("cepo-cerebras: ")
    assert "cannot be reached" in last


def test_a_misspelt_key_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the local model answers instead."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    said: list[str] = []
    with pytest.raises(DemoError), demo.model(said.append, {"CEREBRAS_APIKEY": "csk-x"}):
        pass
    assert said[0].startswith("CEREBRAS_API_KEY is not set; CEREBRAS_APIKEY is: rename it.")


def test_a_missing_local_model_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key and without the extra `demo`."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    message = r"xllamacpp.*not installed; run `make venv`, or set CEREBRAS_API_KEY"
    with pytest.raises(DemoError, match=message), demo.model(list[str]().append, {}):
        pass


def test_the_environment_is_that_of_the_local_model_for_the_block_only() -> None:
    """The operator's own settings come before the demo's."""
    environ = {"CEPO_CEREBRAS_BESTOFN_N": "1", "OTHER": "x"}
    before = dict(environ)
    with demo.model(list[str]().append, environ):
        assert environ["CEREBRAS_BASE_URL"].startswith("http://127.0.0.1:")
        assert (environ["CEPO_CEREBRAS_BESTOFN_N"], environ["OTHER"]) == ("1", "x")
        assert environ["CEPO_CEREBRAS_PLANNING_N"] == "1"
    assert environ == before


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_is_left_running_when_it_is_stopped(number: signal.Signals) -> None:
    """While the local model answers, and without a traceback."""
    mark = uuid.uuid4().hex
    process = start(LC_MARK=mark)
    assert process.stdout is not None
    assert "SmolLM2" in process.stdout.readline()
    until(lambda: len(processes_with(mark)) > 1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    # After SIGKILL the child notices the end of its parent by itself.
    assert process.returncode == (-number if number is signal.SIGKILL else 130)
    assert none_left_with(mark, PATIENCE)
    assert "Traceback" not in errors
