"""The lock files: what they may hold, and that they hold what pyproject.toml and the packages in them ask for."""

import itertools
import json
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
LOCKS = sorted(
    lock
    for folder in ("docker", "docs/integration", "tests/clients", "tests/image")
    for lock in (ROOT / folder).glob("*.lock")
)
OLDEST = DOCKER / "optillm-0.3.21.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ["3.10.0", "3.11.0", "3.12.0", "3.13.0"]


def entries(lock: Path) -> list[str]:
    """Return the lock's requirements, each with its hashes on one line."""
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]
    return [line.strip() for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def pins(*locks: Path, python: str = "{}.{}.{}".format(*sys.version_info)) -> dict[str, str]:
    """Return the version of every package that the locks install on Linux with the Python given."""
    where = {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
    }
    found: dict[str, str] = {}
    for entry in itertools.chain.from_iterable(map(entries, locks)):
        requirement = Requirement(entry.partition(" --hash")[0])
        if requirement.marker is None or requirement.marker.evaluate(where):
            (specifier,) = requirement.specifier
            name, version = canonicalize_name(requirement.name), specifier.version
            assert found.setdefault(name, version) == version, f"two versions of {name} on Python {python}"
    return found


def unmet(wanted: list[str], having: dict[str, str]) -> list[str]:
    """Return those requirements that the pins do not meet."""
    requirements = map(Requirement, wanted)
    return [
        str(requirement)
        for requirement in requirements
        if not requirement.specifier.contains(having.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_say_nothing_about_where_packages_come_from(lock: Path) -> None:
    """A lock has no address, no path of a machine and no option of pip's but the hashes."""
    text = lock.read_text()
    assert re.findall(r"://|(?<!\S)/\S+|\s@\s", text) == []
    assert set(re.findall(r"(?<=\s)-{1,2}[a-z][a-z-]*", text)) <= {"--hash", "-r", "-c"}
    assert re.findall(r"^(?!\s*#).*(?<=\s)-[rc]\b.*", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_one_version_with_hashes(lock: Path) -> None:
    """With --require-hashes pip takes each line: one exact version and at least one sha256."""
    assert entries(lock)
    for entry in entries(lock):
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+", entry), entry


def test_npm_lock_says_nothing_about_where_packages_come_from() -> None:
    """The JavaScript clients have exact versions with hashes, and no address that they are fetched from."""
    folder = ROOT / "tests/clients/node"
    packages = json.loads((folder / "package-lock.json").read_text())["packages"]
    wanted = packages.pop("")["dependencies"]
    assert wanted == json.loads((folder / "package.json").read_text())["dependencies"]
    assert [name for name, version in wanted.items() if not re.fullmatch(r"(npm:.+@)?\d+\.\d+\.\d+", version)] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert {package["integrity"].partition("-")[0] for package in packages.values()} == {"sha512"}


@pytest.mark.parametrize("python", PYTHONS)
def test_locks_satisfy_pyproject(python: str) -> None:
    """What pyproject.toml depends on is in requirements.lock, and its extras and build in requirements-dev.lock."""
    slim, development = DOCKER / "requirements.lock", DOCKER / "requirements-dev.lock"
    assert unmet(PROJECT["dependencies"], pins(slim, python=python)) == []
    extras = list(itertools.chain.from_iterable(PROJECT["optional-dependencies"].values()))
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert unmet(extras + build, pins(slim, development, python=python)) == []
    assert unmet(build, pins(DOCKER / "requirements-build.lock", python=python)) == []


@pytest.mark.parametrize("python", PYTHONS)
def test_image_lock_is_the_slim_set_without_what_is_not_served(python: str) -> None:
    """The image has the same versions as every other environment, and leaves four packages out, with what they need."""
    slim = pins(DOCKER / "requirements.lock", python=python)
    image = pins(DOCKER / "requirements-image.lock", python=python)
    assert image.items() <= slim.items()
    assert unmet([text for text in PROJECT["dependencies"] if not text.startswith("optillm")], image) == []
    left_out = slim.keys() - image.keys()
    assert {"networkx", "numpy", "openai", "z3-solver"} <= left_out
    assert left_out <= {"networkx", "numpy", "openai", "z3-solver", "httpcore2", "httpx2", "jiter", "truststore"}


def test_oldest_lock_is_the_oldest_optillm_allowed() -> None:
    """The suite's pair of oldest versions has the lower bound that pyproject.toml gives OptiLLM."""
    (wanted,) = [Requirement(text) for text in PROJECT["dependencies"] if text.startswith("optillm")]
    (bound,) = [specifier.version for specifier in wanted.specifier if specifier.operator == ">="]
    assert pins(OLDEST) == {"optillm": bound}


def test_environment_has_what_the_locks_pin() -> None:
    """The environment that runs this suite is the locks', with one of the two OptiLLMs."""
    locks = ("pip", "requirements", "requirements-test", "requirements-dev")
    wanted = pins(*(DOCKER / f"{name}.lock" for name in locks))
    having = {name: str(Version(metadata.version(name))) for name in wanted}  # one calls itself v0.0.21
    if having["optillm"] == pins(OLDEST)["optillm"]:
        wanted |= pins(OLDEST)
    assert having == wanted


def test_no_package_in_the_locks_lacks_one_that_it_needs() -> None:
    """Installing without dependencies leaves none out, but those that docker/uv.toml leaves out on purpose."""
    having = pins(DOCKER / "requirements.lock", DOCKER / "requirements-dev.lock")
    told = {entry["name"]: entry["requires-dist"] for entry in uv_told()}
    todo, seen, missing = [(name, "") for name in having], set(), []
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for text in told.get(name, metadata.requires(name) or []):
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                missing += [f"{name} needs {requirement}"] if unmet([text], having) else []
                todo += [(canonicalize_name(requirement.name), wanted) for wanted in ("", *requirement.extras)]
    assert missing == []


def test_slim_set_is_a_part_of_what_optillm_asks_for() -> None:
    """docker/uv.toml gives OptiLLM no requirement that OptiLLM itself does not state, and the same bounds."""
    (slim,) = [entry["requires-dist"] for entry in uv_told() if entry["name"] == "optillm"]
    stated = {
        (canonicalize_name(requirement.name), requirement.specifier)
        for requirement in map(Requirement, metadata.requires("optillm") or [])
    }
    assert {(canonicalize_name(r.name), r.specifier) for r in map(Requirement, slim)} <= stated


def uv_told() -> list[dict[str, Any]]:
    """Return what the resolver is told about packages in place of their own metadata."""
    told: list[dict[str, Any]] = tomllib.loads((DOCKER / "uv.toml").read_text())["dependency-metadata"]
    return told
