"""The list of what is in the image (CycloneDX)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from containers import IMAGE, Note, docker, inspected

VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()))
"""


@pytest.fixture(scope="module")
def text() -> str:
    """The file."""
    path = inspected(IMAGE)["Config"]["Labels"]["cepo-cerebras.sbom"]
    return docker("run", "--rm", "--entrypoint", "cat", IMAGE, path)


@pytest.fixture(scope="module")
def sbom(text: str) -> Any:
    """The file's contents."""
    return json.loads(text)


def test_it_lists_what_is_installed(sbom: Any, note: Note) -> None:
    """Each package of the environment with its version, this one among them, and nothing else."""
    listing = "from importlib.metadata import distributions as d; print(*(f'{x.name}=={x.version}' for x in d()))"
    python = "/opt/sidecar/bin/python"
    installed = docker("run", "--rm", "--entrypoint", python, IMAGE, "-I", "-c", listing).split()
    listed = [sbom["metadata"]["component"], *sbom["components"]]
    assert sorted(f"{part['name']}=={part['version']}" for part in listed) == sorted(installed)
    note(f"{len(installed)} packages, all of them in the SBOM")


def test_each_package_can_be_looked_up(sbom: Any) -> None:
    """By its package URL."""
    assert all(re.fullmatch(r"pkg:pypi/[^@]+@\S+", part["purl"]) for part in sbom["components"])


def test_it_says_nothing_of_where_or_when_it_was_made(sbom: Any) -> None:
    """No serial number, no folder, and the same time for the same inputs."""
    assert "serialNumber" not in sbom
    assert re.findall(r"file:|/src/|/opt/|localhost", json.dumps(sbom)) == []


def test_it_is_valid(text: str) -> None:
    """By the standard's own schema."""
    validator = ["--network", "none", f"{IMAGE}:tools", "/opt/tools/bin/python", "-c", VALIDATE]
    assert docker("run", "--rm", "--interactive", *validator, given=text) == "None\n"
    assert json.loads(text)["specVersion"] == "1.6"
