"""The image as it lies there: its size, its labels, what is in it, and that it comes out the same each time."""

from __future__ import annotations

import json
import re

import pytest
from containers import BASE, IMAGE, Note, docker, inspected

MOST = 220  # MB above the base


def inside(command: str, image: str = IMAGE) -> str:
    """What a shell in the image prints."""
    return docker("run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", command)


def files(image: str) -> set[str]:
    """A line for each file of ours, and one for its contents."""
    look = "find /opt -printf '%p %l %m %U:%G %T@\\n'; find /opt -type f -exec sha256sum {} +"
    return set(inside(look, image).splitlines())


def test_its_size(note: Note) -> None:
    """It stays below its limit."""
    whole, base = (inspected(name)["Size"] / 1e6 for name in (IMAGE, BASE))
    size = whole - base
    note(f"{size:.0f} MB above the base image, {whole:.0f} MB with it")
    assert 0 < size <= MOST


def test_two_builds_give_the_same_layers(note: Note) -> None:
    """Names, modes, owners, times and contents of all files are one digest for each layer; nothing was cached."""
    first, second = (inspected(image) for image in (IMAGE, f"{IMAGE}:again"))
    assert first["Id"] != second["Id"], "the second build is the first one"
    assert files(IMAGE) ^ files(f"{IMAGE}:again") == set()
    layers = first["RootFS"]["Layers"]
    assert layers == second["RootFS"]["Layers"]
    note(f"two builds without a cache have the same {len(layers)} layers; the image's own: {layers[1]}")


def test_its_labels() -> None:
    """Title, description, licence, version, and where the list of its packages is."""
    labels = inspected(IMAGE)["Config"]["Labels"]
    names = ["title", "description", "licenses", "version"]
    assert all(labels[f"org.opencontainers.image.{name}"] for name in names)
    assert inside(f"test -s {labels['cepo-cerebras.sbom']} && echo there") == "there\n"


def test_it_asks_for_no_root_and_no_shell() -> None:
    """The user is a number that is not 0; command and health check are run without a shell."""
    config = inspected(IMAGE)["Config"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"])
    assert config["Entrypoint"][:2] == ["cepo-cerebras", "serve"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert "curl" not in " ".join(config["Healthcheck"]["Test"])


def test_no_key_is_in_it() -> None:
    """Neither its configuration nor its history has anything that looks like one, or a variable for one."""
    told = json.dumps(inspected(IMAGE)["Config"]) + docker("history", "--no-trunc", "--format", "{{json .}}", IMAGE)
    assert re.findall(r"csk-|API_KEY|CLIENT_KEY|SECRET|TOKEN|PASSWORD", told) == []


def test_it_has_no_tools_to_build_or_install() -> None:
    """What installed the packages stayed behind, and so did the libraries' own tests."""
    names = inside("ls /opt/sidecar/lib/python3.12/site-packages; find /opt/sidecar -type d -name tests").split()
    assert {"optillm", "optillm_cerebras_cepo", "waitress"} <= set(names)
    assert [name for name in names if re.match(r"pip|setuptools|wheel|hatchling|cyclonedx|/opt", name)] == []


def test_nothing_in_it_can_be_changed_by_its_user() -> None:
    """All of it is root's, and writable for root alone."""
    assert inside("find /opt \\( ! -user root -o ! -type l -perm /022 \\) -print") == ""


@pytest.mark.parametrize("approach", ["bon", "z3"])
def test_an_approach_that_it_lacks_packages_for_is_refused_at_start(approach: str) -> None:
    """The last line says which package."""
    with pytest.raises(AssertionError, match=rf"{approach} needs the package \w+, which is not installed"):
        docker("run", "--rm", "--network", "none", IMAGE, "--approaches", f"cepo_cerebras,{approach}")
