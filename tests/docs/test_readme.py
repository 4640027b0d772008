"""What is written down is executed: every command block, and every table that the code has too."""

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
from conftest import KEY
from support import web
from support.error_kinds import error_kinds
from support.optillm_process import optillm
from support.ports import free_port
from support.processes import none_left_with, processes_with

from optillm_cerebras_cepo.demo.run import DEFAULT_QUESTION
from optillm_cerebras_cepo.errors import Ended
from optillm_cerebras_cepo.llm.models import MODELS, lookup
from optillm_cerebras_cepo.settings import Settings
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
    """A kind that no test here executes cannot be written."""
    assert len(blocks()) == 15
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
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^smollm2-135m-instruct loaded in", done.stdout, re.MULTILINE)
    assert f"\nQ: {DEFAULT_QUESTION}\n" in done.stdout
    assert "\n  candidate 1 plan: " in done.stdout
    assert "\nA: " in done.stdout
    assert re.search(r"\d+ calls, \d+ \+ \d+ tokens .*, [\d.]+ s", done.stdout)
    assert none_left_with(mark, 5.0), processes_with(mark)


@pytest.mark.parametrize("block", blocks("ci"), ids=named)
def test_ci(block: Block) -> None:
    """It is what runs this test; .ci/run calls it by name."""
    (target,) = re.findall(r"^make (\S+)$", block.text, re.MULTILINE)
    steps = re.search(r"^for step in (.*); do$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert steps is not None
    assert target in steps[1].split()


@pytest.mark.parametrize("block", blocks("bench", "upstream"), ids=named)
def test_bench(block: Block) -> None:
    """Minutes: tests/bench and tests/upstream run the module on less; this pins that the target is that module."""
    (target,) = re.findall(r"^make (\S+)$", block.text, re.MULTILINE)
    shown = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    module = r"bench(\.faults|\.sidecar|\.size)?|soak --page --minutes 10|upstream\.prove"
    assert re.search(rf"^PYTHONPATH=tests \S+/python -m ({module})$", shown, re.MULTILINE)


def test_every_promise_of_the_benchmarks_is_kept() -> None:
    """The committed page says yes to each, shows every picture, and has no picture that it does not show."""
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    promises = re.search(r"^## What was promised\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    assert promises
    rows = [line for line in promises[1].splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 18
    assert [row for row in rows if not row.endswith("| yes |")] == []
    shown = set(re.findall(r"\]\(benchmarks/([^)]+)\)", page))
    assert shown == {path.name for path in (ROOT / "docs" / "benchmarks").iterdir()}


@pytest.mark.parametrize("block", blocks("apply"), ids=named)
def test_apply(block: Block, tmp_path: Path) -> None:
    """Here, with a checkout of OptiLLM beside this repository, whose `git diff` is then the pull request."""
    shutil.copytree(ROOT / "docs" / "upstream", tmp_path / "here" / "docs" / "upstream")
    theirs = tmp_path / "optillm" / "optillm"
    shutil.copytree(Path(optillm_package.__file__).parent, theirs)
    before = (theirs / "cepo" / "cepo.py").read_text()
    subprocess.run(["bash", "-e", "-c", block.text], cwd=tmp_path / "here", env=environ(), check=True)
    assert (theirs / "cepo" / "cepo.py").read_text() != before


@pytest.mark.parametrize("block", blocks("image"), ids=named)
def test_image(block: Block) -> None:
    """Builds for minutes and needs an engine: `make image-test` does it, and `make nightly` calls that."""
    assert "docker compose -f docker/compose.yaml" in block.text
    assert "$(MAKE) image-test" in (ROOT / "Makefile").read_text()
    assert "compose.yaml" in (ROOT / "tests" / "image" / "image-check.sh").read_text()


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


def test_the_settings_are_all_there() -> None:
    """Name, default and meaning, in the order of their declaration."""
    rows = re.findall(r"^\| `(CEPO_CEREBRAS_\w+)` \| (.*?) \| (.*) \|$", README.read_text(), re.MULTILINE)
    expected = []
    for name, setting in Settings.model_fields.items():
        value = setting.default
        match value:
            case None:
                shown = ""
            case bool():
                shown = str(value).lower()
            case tuple():
                shown = ",".join(value)
            case _:
                shown = f"{value:g}" if isinstance(value, float) else str(value)
        expected.append((f"CEPO_CEREBRAS_{name.upper()}", shown, setting.description))
    assert [(name, shown.strip(), meaning) for name, shown, meaning in rows] == expected


def test_the_models_are_all_there() -> None:
    """Those with a row in the table, and no other."""
    text = " ".join(README.read_text().split())
    listed = re.search(r"These models have a row .*?: (.*?)\. Any other", text)
    assert listed is not None
    assert {lookup(name) for name in re.findall(r"`([^`]+)`", listed[1])} == set(MODELS)


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
