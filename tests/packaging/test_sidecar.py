"""What of the sidecar can be checked without a Docker engine; tests/image/image-check.sh does the rest."""

import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from optillm_cerebras_cepo.settings import ENVIRONMENT, Settings

DOCKER = Path(__file__).parents[2] / "docker"


@pytest.fixture
def service() -> dict[str, Any]:
    """Return the one service of docker/compose.yaml."""
    (service,) = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"].values()
    return service


def test_compose_passes_every_setting_on_and_sets_none(service: dict[str, Any]) -> None:
    """The service's environment has a valueless entry for each setting: passed on when set, absent when not."""
    environment = service["environment"]
    settings = {name: value for name, value in environment.items() if name.startswith(ENVIRONMENT)}
    assert settings == {ENVIRONMENT + name.upper(): None for name in Settings.model_fields}
    assert environment.keys() - settings.keys() == {"CEREBRAS_API_KEY", "CEREBRAS_BASE_URL"}
    assert environment["CEREBRAS_API_KEY"].startswith("${CEREBRAS_API_KEY:?")


def test_compose_gives_the_container_no_more_than_it_needs(service: dict[str, Any]) -> None:
    """Published on loopback alone, nothing writable but /tmp, no capability, no way to gain one."""
    assert service["ports"] == ["127.0.0.1:8080:8080"]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_dockerfile_needs_no_frontend_to_be_fetched() -> None:
    """The Dockerfile builds with the engine's own frontend: no `# syntax=` line and no heredoc."""
    text = (DOCKER / "Dockerfile").read_text()
    assert "syntax=" not in text
    assert "<<" not in text


def test_entry_serves_optillm_and_ends_on_sigterm_with_0() -> None:
    """The image's process 1 answers /health and takes SIGTERM as a wish to end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, DOCKER / "entry.py", "--port", str(port), "--approach", "cepo_cerebras"]
    environment = {**os.environ, "CEREBRAS_API_KEY": "csk-test"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            assert answers(port, seconds=60)
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=20)
            assert process.returncode == 0, log.decode()
        finally:
            process.kill()


def answers(port: int, seconds: float) -> bool:
    """Return whether /health answered 200 within the given time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection = HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    return False
