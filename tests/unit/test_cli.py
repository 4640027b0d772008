"""The command: what it prints, and its exit status."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import web
from support.waiting import PATIENCE

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.cli.main import COMMANDS, main

COMMAND = str(Path(sys.executable).with_name("cepo-cerebras"))


@pytest.mark.parametrize("arguments", [[], ["fly"]])
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And prints the usage."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: cepo-cerebras" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulate", "--port", "70000"], "--port must be a number from 0 to 65535"),
        (["simulate", "--port", "x"], "--port"),
        (["simulate", "--lattency", "3"], "--lattency; did you mean --latency?"),
        (["simulate", "--no-such-flag"], "--no-such-flag."),
        (["demo", "--question", "Why?"], "--question"),
        (["demo", "Why?", "How?"], "Unrecognized arguments"),
    ],
)
def test_a_wrong_flag_is_reported_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, no usage."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1
    assert len(printed) < 200


@pytest.mark.parametrize(
    ("name", "hint"), [("sevre", "did you mean serve?"), ("fly", "the commands are ask, serve, demo, trace, simulate")]
)
def test_an_unknown_command_gets_a_suggestion(name: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The closest name, or all names if none is close."""
    with pytest.raises(SystemExit) as caught:
        main([name])
    assert caught.value.code == 2
    assert f"unknown command '{name}'; {hint}" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    """Exit status 0."""
    done = subprocess.run([COMMAND, name, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: cepo-cerebras {name}")


def test_a_command_imports_nothing_of_the_others() -> None:
    """`--help` starts fast: neither an HTTP library nor a server is imported before a command needs it."""
    program = "import sys, optillm_cerebras_cepo.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"httpx", "aiohttp", "flask", "waitress", "optillm"} & set(done.stdout.split())


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """The same number."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def test_invalid_options_are_reported_in_one_line(tmp_path: Path) -> None:
    """Exit status 1, no traceback."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("- patern: x\n")
    done = subprocess.run([COMMAND, "simulate", "--rules", str(rules)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("cepo-cerebras: ")
    assert "pattern" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_simulated_api_prints_its_url_and_stops_on_a_signal(stop: signal.Signals) -> None:
    """It requires a key, as the real API does."""
    process = subprocess.Popen([COMMAND, "simulate", "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().removeprefix("simulated Cerebras API: ").strip()
    assert web.get(f"{url}/v1/models").status_code == 403
    assert web.get(f"{url}/v1/models", headers={"Authorization": "Bearer csk-any"}).status_code == 200
    process.send_signal(stop)
    assert process.wait(10) == 0
    process.stdout.close()
