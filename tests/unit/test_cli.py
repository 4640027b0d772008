"""The command: what it prints, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import web

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.cli import main

COMMAND = str(Path(sys.executable).with_name("cepo-cerebras"))


@pytest.mark.parametrize("arguments", [[], ["fly"], ["simulate", "--port", "70000"], ["simulate", "--no-such-flag"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """And says how it is used."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: cepo-cerebras" in capsys.readouterr().err


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    """One number for both."""
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.strip() == __version__


def test_options_that_cannot_work_end_with_one_line(tmp_path: Path) -> None:
    """No trace, status 1."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("- patern: x\n")
    done = subprocess.run([COMMAND, "simulate", "--rules", str(rules)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("cepo-cerebras: ")
    assert "pattern" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_simulated_api_says_where_it_is_and_stops_when_told(stop: signal.Signals) -> None:
    """A key is needed, as on the real one."""
    process = subprocess.Popen([COMMAND, "simulate", "--port", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().removeprefix("simulated Cerebras API: ").strip()
    assert web.get(f"{url}/v1/models").status_code == 403
    assert web.get(f"{url}/v1/models", headers={"Authorization": "Bearer csk-any"}).status_code == 200
    process.send_signal(stop)
    assert process.wait(10) == 0
    process.stdout.close()
