"""What of the image and of docker/compose.yaml can be checked without a Docker engine; tests/image does the rest."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from optillm_cerebras_cepo import __version__

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
SERVICES = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
SIDECARS = ("cepo-cerebras", "replica")
KEYS = {"CEREBRAS_API_KEY", "CEPO_CEREBRAS_CLIENT_KEY"}


@pytest.mark.parametrize("name", SIDECARS)
def test_compose_sets_nothing_of_its_own(name: str) -> None:
    """A variable is passed on when it is set, and else absent; but for the keys' files and the replicas' Redis."""
    environment = SERVICES[name]["environment"]
    valued = {name for name, value in environment.items() if value is not None}
    assert valued == {f"{key}_FILE" for key in KEYS} | ({"CEPO_CEREBRAS_REDIS_URL"} if name == "replica" else set())
    assert environment.keys() >= KEYS | {"CEREBRAS_BASE_URL"}


@pytest.mark.parametrize("name", [*SIDECARS, "backend"])
def test_compose_hands_keys_in_as_secrets(name: str) -> None:
    """Both keys can come in files; where they do, the sidecar is told of the file, and else of an empty name."""
    assert {secret["source"] for secret in SERVICES[name]["secrets"]} == KEYS
    if name in SIDECARS:
        for secret in SERVICES[name]["secrets"]:
            told = f"{secret['source']}_FILE"
            assert SERVICES[name]["environment"][told] == f"${{{told}:+/run/secrets/{secret['target']}}}"


@pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())
def test_compose_gives_no_container_more_than_it_needs(service: dict[str, Any]) -> None:
    """Published on loopback alone, nothing writable but memory, no capability, no way to gain one."""
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(volume.endswith(":ro") for volume in service.get("volumes", []))


def test_the_one_sidecar_and_the_balancer_are_found_where_the_users_service_was() -> None:
    """Port 8080 of the host, and gogga-cepo:8080 for other containers."""
    for name in ("cepo-cerebras", "balancer"):
        assert SERVICES[name]["ports"] == ["127.0.0.1:8080:8080"]
        assert SERVICES[name]["networks"]["default"]["aliases"] == ["gogga-cepo"]
    assert SERVICES["backend"]["environment"]["CEPO_URL"] == "http://gogga-cepo:8080"


def test_dockerfile_needs_no_frontend_to_be_fetched() -> None:
    """The Dockerfile builds with the engine's own frontend: no `# syntax=` line and no heredoc."""
    assert "syntax=" not in DOCKERFILE
    assert "<<" not in DOCKERFILE


def test_dockerfile_has_no_step_for_one_architecture() -> None:
    """No download by address, no platform named, nothing of Debian installed: the locks' hashes decide."""
    assert re.findall(r"--platform|TARGETARCH|x86_64|aarch64|amd64|arm64|apt-get|curl|https?://", DOCKERFILE) == []


def test_labels_say_what_pyproject_says() -> None:
    """Title, description, licence and version are the package's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', DOCKERFILE.partition("LABEL")[2]))
    assert labels == {
        "title": project["name"],
        "description": project["description"],
        "licenses": project["license"],
        "version": "$VERSION",
    }
    assert re.findall(r"^ARG VERSION=(.+)$", DOCKERFILE, re.MULTILINE) == [__version__]
