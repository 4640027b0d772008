"""README.md, CONTRIBUTING.md and docs/: commands run, generated parts are up to date, and every name and link exists.

The wording of a page is nobody's test.
"""

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
from support.generated_docs import outdated
from support.optillm_process import optillm
from support.ports import free_port
from support.processes import none_left_with, processes_with

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.core.errors import Ended, Superseded
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.sidecar.options import FLAGS
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.server import Simulator
from optillm_cerebras_cepo.trace.folder import TraceFolder
from optillm_cerebras_cepo.trace.recorder import TraceRecorder

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "docs" / "upstream" / "README.md",
    ROOT / "docs" / "integration" / "README.md",
]
EXECUTED_ELSEWHERE = {ROOT / "docs" / "integration" / "README.md"}  # by tests/integration
KEY_VARIABLES = {"client_key", "client_key_file"}  # read by sidecar/admission.py; not settings
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Block:
    """Command block of a page. The comment before it says how it is tested."""

    page: str
    kind: str
    port: str
    text: str


def blocks(*kinds: str) -> list[Block]:
    """Return every block of these kinds, or all blocks."""
    found = []
    for page in PAGES:
        if page in EXECUTED_ELSEWHERE:
            continue
        for kind, port, text in re.findall(
            r"(?:<!-- (\w+)(?: (\d+))? -->\n)?```(?:bash|sh|console)\n(.*?)```", page.read_text(), re.DOTALL
        ):
            found.append(Block(page.name, kind, port, text))
    return [block for block in found if not kinds or block.kind in kinds]


def environ(**more: str) -> dict[str, str]:
    """Return the environment of a reader who has activated `.venv`."""
    others = ("CEPO_", "CEREBRAS_", "MAKE", "MFLAGS")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return clean | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} | more


def named(block: Block) -> str:
    """Return the test's id."""
    return f"{block.page}: {block.text.strip().splitlines()[0]}"


def test_every_block_says_how_it_is_tested() -> None:
    """Every kind has a test here, except make targets (`ci`, `bench`, `upstream`) and `image` (`make image-test`)."""
    kinds = {"run", "ci", "bench", "install", "serve", "ask", "image", "apply", "upstream", "pytest", "trace", "asking"}
    assert {block.kind for block in blocks()} == kinds


@pytest.mark.slow
@pytest.mark.timeout(600)  # it makes .venv where there is none
@pytest.mark.parametrize("block", blocks("run"), ids=named)
def test_run(block: Block) -> None:
    """The demo ends without a key, with an answer of a real model. No process is left running."""
    mark = uuid.uuid4().hex
    done = subprocess.run(
        ["bash", "-euc", block.text], cwd=ROOT, env=environ(LC_MARK=mark), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nNext:\n" in done.stdout
    assert re.search(r"^candidate 1 plan: ", done.stderr, re.MULTILINE)
    assert re.search(r"^\d+ calls, ", done.stderr, re.MULTILINE)
    assert none_left_with(mark, 5.0), processes_with(mark)


def test_every_make_command_is_a_target() -> None:
    """Targets run for minutes or hours, so this test checks only that each exists."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target for page in PAGES for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert named - targets == set()


@pytest.mark.parametrize("block", blocks("apply"), ids=named)
def test_apply(block: Block, tmp_path: Path) -> None:
    """The command changes a checkout of OptiLLM that lies beside this repository."""
    shutil.copytree(ROOT / "docs" / "upstream", tmp_path / "here" / "docs" / "upstream")
    theirs = tmp_path / "optillm" / "optillm"
    shutil.copytree(Path(optillm_package.__file__).parent, theirs)
    before = (theirs / "cepo" / "cepo.py").read_text()
    subprocess.run(["bash", "-e", "-c", block.text], cwd=tmp_path / "here", env=environ(), check=True)
    assert (theirs / "cepo" / "cepo.py").read_text() != before


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("install"), ids=named)
def test_install(block: Block, tmp_path: Path) -> None:
    """The install succeeds in a new environment that shares this one's packages, so that pip needs no index.

    `tests/packaging` checks what it installs.
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


@pytest.mark.parametrize("block", blocks("trace"), ids=named)
def test_trace(block: Block, tmp_path: Path) -> None:
    """The commands show the traces of a folder, and write a page."""
    TraceFolder(str(tmp_path / "traces")).write(TraceRecorder().finish(200, {}))
    done = subprocess.run(
        ["bash", "-euc", block.text], cwd=tmp_path, env=environ(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "<!doctype html>" in (tmp_path / "trace.html").read_text()


@pytest.mark.parametrize("block", blocks("asking"), ids=named)
def test_asking(block: Block, simulate: Callable[..., Simulator]) -> None:
    """Every question gets an answer, from a simulated API."""
    api = simulate(rules=(Rule(text="The answer is 42."),))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text.replace("answer.txt", "/dev/null")],
        cwd=ROOT,
        env=environ(CEREBRAS_BASE_URL=api.url, CEPO_CEREBRAS_BESTOFN_N="1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("The answer is 42.") == block.text.count("ask ") - 1  # one goes to a file


def health_path(block: Block) -> str:
    """Return a path that this server answers without a key."""
    return "/simulator/calls" if "simulate" in block.text else "/health"


@pytest.mark.parametrize("block", blocks("serve"), ids=named)
def test_serve(block: Block) -> None:
    """The server answers on its port and ends on SIGTERM. The test uses a free port instead of the page's."""
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
                if web.get(f"http://127.0.0.1:{port}{health_path(block)}").status_code == 200:
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
    """The example gets its answer from a real optillm in front of the simulated API."""
    arguments = ["--base-url", simulate().url, "--approach", "cepo_cerebras"]
    with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY}) as server:
        text = block.text.replace(f"http://127.0.0.1:{block.port}", server.url)
        done = subprocess.run(["bash", "-euc", text], env=environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "The simulated answer is 42." in done.stdout
    assert re.search(r'( |"calls":)24\b', done.stdout)


@pytest.mark.parametrize("block", blocks("pytest"), ids=named)
def test_pytest(block: Block) -> None:
    """The commands that run a part of the suite pass, in this environment."""
    text = block.text.replace(".venv/bin/", f"{BIN}/")
    done = subprocess.run(["bash", "-euc", text], cwd=ROOT, env=environ(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_generated_parts_are_up_to_date() -> None:
    """Tables of settings, flags, metrics, budgets and errors, OpenAPI's generated parts, and compose's variables."""
    assert outdated() == [], "run make docs"


def test_every_setting_that_is_named_exists() -> None:
    """Every `CEPO_CEREBRAS_<NAME>` and `cepo_cerebras_<name>` outside of the generated parts."""
    known = Settings.model_fields.keys() | FLAGS.keys() | KEY_VARIABLES
    unknown = []
    others = ROOT / "docker" / "compose.yaml", ROOT / "docs" / "alerts.yaml", ROOT / "docs" / "grafana.json"
    for page in [*PAGES, *others]:
        text = re.sub(r"<!-- (\w+) -->\n\n.*?<!-- /\1 -->", "", page.read_text(), flags=re.DOTALL)
        variables = {name.lower() for name in re.findall(r"CEPO_CEREBRAS_([A-Z0-9_]*[A-Z0-9])", text)} - {"name"}
        fields = set(re.findall(r"[`\"]cepo_cerebras_([a-z0-9_]+)[`\"]", text))
        unknown += [f"{page.name}: {name}" for name in (variables - known) | (fields - Settings.model_fields.keys())]
    assert unknown == []


def test_the_errors_of_the_readme_exist() -> None:
    """Each row of its troubleshooting table names an error's code and status."""
    statuses = {kind.code: kind.status for kind in error_kinds()}
    rows = re.findall(r"^\| `(\w+)` \((\d{3})\) \|", README.read_text(), re.MULTILINE)
    assert len(rows) == 5
    assert [(code, int(status)) for code, status in rows if statuses.get(code) != int(status)] == []


def test_openapi_is_valid() -> None:
    """The file is valid OpenAPI 3.1, has the package's version, and describes every status that an error can have."""
    page = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
    OpenAPIV31SpecValidator(page).validate()
    assert (page["openapi"], page["info"]["version"]) == ("3.1.0", __version__)
    statuses = {str(kind.status) for kind in error_kinds() if kind not in (Ended, Superseded)}
    assert set(page["paths"]["/v1/chat/completions"]["post"]["responses"]) == {"200", *statuses}


def test_the_pages_are_linked() -> None:
    """Every page of docs/ is linked from another page; every link leads to a file, and its anchor to a heading."""
    links = set()
    for page in PAGES:
        for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([\w-]+))?\)", page.read_text()):
            path = page.parent / target if target else page
            assert path.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(path), f"{page.name}: {target}#{anchor}"
            links.add(path.resolve())
    assert {path.resolve() for path in (ROOT / "docs").glob("*.*")} <= links


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_file_that_is_named_exists() -> None:
    """Pages name a file of the package by its path in it, and other files by their path in the repository."""
    folders = "core|settings|llm|voting|response_format|cepo|host|sidecar|cli|ask|trace|simulator|demo|tests|docker"
    missing = [
        f"{page.name}: {name}"
        for page in PAGES
        for name in re.findall(rf"`((?:(?:{folders})/[\w/]+|runtime|session)\.py)`", page.read_text())
        if not (ROOT / "optillm_cerebras_cepo" / name).exists() and not (ROOT / name).exists()
    ]
    assert missing == []


def test_every_test_that_is_named_exists() -> None:
    """Pages name a test as `file.py::test_name`, below tests/; docs/security.md names those below tests/security/."""
    missing = []
    for page in PAGES:
        folder = ROOT / "tests" / ("security" if page.name == "security.md" else "")
        for file, name in re.findall(r"`([\w/]+\.py)::(\w+)`", page.read_text()):
            path = folder / file
            if not path.exists() or not re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE):
                missing.append(f"{page.name}: {file}::{name}")
    assert missing == []
