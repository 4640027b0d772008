"""Every command block of the example's README, as it stands there but for the port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import KEY
from support.backend import CLIENT_KEY, FOLDER, PATIENT, README, House, block, environment, events, told
from support.ports import free_port
from support.waiting import PATIENCE, until

pytestmark = pytest.mark.slow

PORT = "8000"


def test_every_block_is_run_here() -> None:
    """`environment` runs the first, the next test the others."""
    kinds = re.findall(r"(?:<!-- (\w+) -->\n)?```\w+\n", README.read_text())
    assert kinds == ["install", "serve", "ask"]


def test_serve_and_ask(house: House, tmp_path: Path) -> None:
    """In a folder with the example and the environment that the first block has made: both layers answer."""
    (tmp_path / "app").symlink_to(FOLDER / "app")
    (tmp_path / ".venv").symlink_to(environment() / ".venv")
    port = str(free_port())
    environ = os.environ | {
        "CEPO_URL": house.sidecar.url,
        "CEPO_CLIENT_KEY": CLIENT_KEY,
        "CEREBRAS_BASE_URL": house.direct.url,
        **PATIENT,
    }
    log = (tmp_path / "log").open("w+")
    command = ["bash", "-euc", block("serve").replace(PORT, port)]
    process = subprocess.Popen(command, cwd=tmp_path, env=environ, start_new_session=True, stdout=log, stderr=log)
    try:
        until(lambda: f":{port}" in (tmp_path / "log").read_text(), (tmp_path / "log").read_text)
        asked = subprocess.run(
            ["bash", "-euc", block("ask").replace(PORT, port)], cwd=tmp_path, capture_output=True, text=True, check=True
        )
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE) in (0, -signal.SIGTERM)
        log.close()
    first, _, rest = asked.stdout.partition("data: ")
    assert '"object": "chat.completion"' in first.replace('":"', '": "')
    chunks = events(f"data: {rest}")
    assert told(chunks, "reasoning_content")
    assert "".join(told(chunks, "content")).startswith("The simulated answer is 42.")
    assert KEY not in asked.stdout
