"""The README and docs/: every command block is executed, what is generated is up to date, and what is named exists."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import optillm as optillm_package
import pytest
import yaml
from conftest import KEY
from openapi_spec_validator import OpenAPIV31SpecValidator
from support import web
from support.error_kinds import error_kinds
from support.generated_docs import stale
from support.optillm_process import optillm
from support.ports import free_port
from support.processes import none_left_with, processes_with

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.demo.run import DEFAULT_QUESTION
from optillm_cerebras_cepo.errors import Ended
from optillm_cerebras_cepo.simulator.server import Simulator

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "docs" / "upstream" / "README.md"]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Block:
    """A command block; the comment before it says how it is tested."""

    page: str
    kind: str
    port: str
    text: str


def blocks(*kinds: str) -> list[Block]:
    """Every block of these kinds, or all."""
    found = []
    for page in PAGES:
        for kind, port, text in re.findall(
            r"(?:<!-- (\w+)(?: (\d+))? -->\n)?```(?:bash|sh|console)\n(.*?)```", page.read_text(), re.DOTALL
        ):
            found.append(Block(page.name, kind, port, text))
    return [block for block in found if not kinds or block.kind in kinds]


def environ(**more: str) -> dict[str, str]:
    """The shell of a reader who has activated the environment."""
    others = ("CEPO_", "CEREBRAS_", "MAKE", "MFLAGS")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return clean | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} | more


def named(block: Block) -> str:
    """A test's name."""
    return f"{block.page}: {block.text.strip().splitlines()[0]}"


def test_every_block_says_how_it_is_tested() -> None:
    """By a test here; `ci`, `bench` and `upstream` are targets of make, and `image` is run by `make image-test`."""
    kinds = {"run", "ci", "bench", "install", "serve", "ask", "image", "apply", "upstream"}
    assert {block.kind for block in blocks()} == kinds


@pytest.mark.slow
@pytest.mark.timeout(600)  # it makes .venv where there is none
@pytest.mark.parametrize("block", blocks("run"), ids=named)
def test_run(block: Block) -> None:
    """To its end, without a key: a real model, a stock OptiLLM, the plugin; and nothing is left running."""
    mark = uuid.uuid4().hex
    done = subprocess.run(
        ["bash", "-euc", block.text], cwd=ROOT, env=environ(LC_MARK=mark), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert re.search(r"^smollm2-135m-instruct loaded in", done.stdout, re.MULTILINE)
    assert f"\nQ: {DEFAULT_QUESTION}\n" in done.stdout
    assert "\n  candidate 1 plan: " in done.stdout
    assert "\nA: " in done.stdout
    assert re.search(r"\d+ calls, \d+ \+ \d+ tokens .*, [\d.]+ s", done.stdout)
    assert none_left_with(mark, 5.0), processes_with(mark)


def test_every_make_command_is_a_target() -> None:
    """Minutes and hours: that each target does what it says is shown by running it; here, that it exists."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target for page in PAGES for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert named - targets == set()


@pytest.mark.parametrize("block", blocks("apply"), ids=named)
def test_apply(block: Block, tmp_path: Path) -> None:
    """Here, with a checkout of OptiLLM beside this repository, whose `git diff` is then the pull request."""
    shutil.copytree(ROOT / "docs" / "upstream", tmp_path / "here" / "docs" / "upstream")
    theirs = tmp_path / "optillm" / "optillm"
    shutil.copytree(Path(optillm_package.__file__).parent, theirs)
    before = (theirs / "cepo" / "cepo.py").read_text()
    subprocess.run(["bash", "-e", "-c", block.text], cwd=tmp_path / "here", env=environ(), check=True)
    assert (theirs / "cepo" / "cepo.py").read_text() != before


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("install"), ids=named)
def test_install(block: Block, tmp_path: Path) -> None:
    """In an environment of its own that has this one's packages, so that pip resolves nothing and asks no index.

    `tests/packaging` looks at what it installs.
    """
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    (here,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (here / "packages.pth").write_text(sysconfig.get_path("purelib"))
    pip = tmp_path / "pip"
    pip.write_text(f'#!/bin/sh\nexec {tmp_path}/venv/bin/python -m pip "$@" --no-deps --no-build-isolation\n')
    pip.chmod(0o755)
    done = subprocess.run(
        ["bash", "-euc", block.text],
        cwd=ROOT,
        env=environ(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Successfully installed optillm-cerebras-cepo" in done.stdout


def paths(block: Block) -> str:
    """Any page that this server answers without a key."""
    return "/simulator/calls" if "simulate" in block.text else "/health"


@pytest.mark.parametrize("block", blocks("serve"), ids=named)
def test_serve(block: Block) -> None:
    """Up on its port, and gone when told so. The port is another one here: the reader's may be taken."""
    port = str(free_port())
    text = block.text.replace(".venv/bin/", "").replace(block.port, port)
    process = subprocess.Popen(
        ["bash", "-euc", text],
        cwd=ROOT,
        env=environ(CEREBRAS_API_KEY=KEY),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            assert process.poll() is None, f"ended with {process.returncode}"
            try:
                if web.get(f"http://127.0.0.1:{port}{paths(block)}").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            pytest.fail("never answered")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.mark.parametrize("block", blocks("ask"), ids=named)
def test_ask(block: Block, simulate: Callable[..., Simulator]) -> None:
    """With the openai client, through a real optillm."""
    arguments = ["--base-url", simulate().url, "--approach", "cepo_cerebras"]
    with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY}) as server:
        text = block.text.replace(f"http://127.0.0.1:{block.port}", server.url)
        done = subprocess.run(["bash", "-euc", text], env=environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "The simulated answer is 42." in done.stdout
    assert done.stdout.strip().endswith(" 27")


def test_what_is_generated_is_up_to_date() -> None:
    """Settings, flags, metrics, budgets, OpenAPI's fields and codes, and the container's environment."""
    assert stale() == [], "run make docs"


def test_openapi_is_valid() -> None:
    """Version 3.1 without an error, of this version of the package, with a response for every status of an error."""
    page = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
    OpenAPIV31SpecValidator(page).validate()
    assert (page["openapi"], page["info"]["version"]) == ("3.1.0", __version__)
    statuses = {str(kind.status) for kind in error_kinds() if kind is not Ended}
    assert set(page["paths"]["/v1/chat/completions"]["post"]["responses"]) == {"200", *statuses}


def test_the_errors_are_all_there() -> None:
    """Code, status, whether a call is tried again, what the error ends, and whether it discards finished answers."""
    rows = re.findall(
        r"^\| `(\w+)` \| (\d+) \| .* \| (\w+).* \| (\w+)(, discards)? \|$",
        (ROOT / "docs" / "errors.md").read_text(),
        re.MULTILINE,
    )
    named = {
        kind.code: kind for kind in error_kinds() if kind.code and kind is not Ended
    }  # nobody waits to hear of Ended
    assert {code for code, *_ in rows} == set(named)
    for code, status, again, ends, discards in rows:
        kind = named[code]
        assert (kind.status, kind.transient) == (int(status), again == "yes"), code
        assert (kind.ends.value, kind.discards_answers) == (ends, bool(discards)), code


def test_the_pages_are_linked() -> None:
    """Every page of docs/ from the README or another page, and no link into the void."""
    links = set()
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
            links.add((page.parent / target).resolve())
    assert {path.resolve() for path in (ROOT / "docs").glob("*.*")} <= links


def test_every_test_that_is_named_exists() -> None:
    """As `file.py::test_name`, the file's path below tests/, or in docs/security.md below tests/security/."""
    missing = []
    for page in PAGES:
        folder = ROOT / "tests" / ("security" if page.name == "security.md" else "")
        for file, name in re.findall(r"`([\w/]+\.py)::(\w+)`", page.read_text()):
            path = folder / file
            if not path.exists() or not re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE):
                missing.append(f"{page.name}: {file}::{name}")
    assert missing == []
