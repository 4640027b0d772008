"""The picture of the layers in docs/architecture.md, held against the imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = "optillm_cerebras_cepo"
PACKAGE = ROOT / NAME
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
PROGRAMS = {
    PACKAGE / "demo" / "local_model.py",
    PACKAGE / "demo" / "tether.py",
    PACKAGE / "voting" / "algebra.py",
}  # run as processes of their own


def layers() -> dict[str, int]:
    """Height of each layer in the picture; the lowest line is 0."""
    block = re.search(r"```layers\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL)
    assert block is not None
    lines = block[1].strip().splitlines()
    named = [re.split(r"\s{2,}", line)[0].split() for line in lines]
    return {name: height for height, names in enumerate(reversed(named)) for name in names}


def layer(path: Path) -> str:
    """The first part of a file's path in the package."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, also inside functions."""
    here = (NAME, *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """Layers of the package that a file imports."""
    parts = (name.split(".") for name in imports(path))
    return {part[1] for part in parts if part[0] == NAME and len(part) > 1 and part[1] != "__version__"}


def test_the_picture_names_every_layer() -> None:
    """Each folder and file of the package, and nothing that is not there."""
    assert set(layers()) == {layer(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    """Into its own layer or a lower line."""
    height = layers()
    wrong = [name for name in ours(path) if name != layer(path) and height[name] >= height[layer(path)]]
    assert wrong == []


def test_the_simulator_stands_alone() -> None:
    """A witness that knows the package would agree with it."""
    assert {used for path in FILES if layer(path) == "simulator" for used in ours(path)} == {"simulator"}


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("flask", {"host"}),
        ("optillm", {"cepo", "host"}),
        ("cerebras", {"llm"}),
        ("tenacity", {"llm"}),
        ("redis", {"llm"}),
        ("math_verify", {"voting"}),
    ],
)
def test_each_foreign_thing_has_its_rooms(module: str, allowed: set[str]) -> None:
    """What knows the host, the server or the SDK is known itself."""
    users = {layer(path) for path in FILES for name in imports(path) if name.split(".")[0] == module}
    assert users == allowed


def test_the_sdk_is_known_to_its_own_files() -> None:
    """The only place where its exceptions become ours."""
    users = [path.name for path in FILES for name in imports(path) if name.startswith("cerebras.")]
    assert set(users) == {"sdk.py", "sdk_errors.py"}


def test_redis_is_known_to_one_file() -> None:
    """Which is imported where there is a Redis."""
    users = [path.name for path in FILES for name in imports(path) if name.split(".")[0] == "redis"]
    assert set(users) == {"shared.py"}
    above = [path.name for path in FILES for name in imports(path) if name.startswith(f"{NAME}.llm.shared")]
    assert above == ["keeping.py"]


def test_the_approach_sees_only_the_base_of_the_client() -> None:
    """It is handed a client; how that is built is no business of its."""
    used = {name for path in FILES if layer(path) == "cepo" for name in imports(path) if name.startswith(f"{NAME}.llm")}
    assert used == {f"{NAME}.llm.base.ChatClient"}


def test_only_the_command_prints() -> None:
    """Everything else returns, raises or logs."""
    printing = {
        path
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing - PROGRAMS == {PACKAGE / "cli.py"}


def test_no_text_of_optillms_stands_in_the_repository() -> None:
    """No eight words in a row of its prompts: they are called, not copied."""
    import optillm.cepo.cepo as upstream

    prompts = [
        node.value
        for node in ast.walk(ast.parse(Path(upstream.__file__).read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 40
    ]
    theirs = {words for prompt in prompts for words in eights(prompt)}
    assert len(theirs) > 500
    files = [*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    assert [str(path) for path in files if theirs & set(eights(path.read_text()))] == []


def eights(text: str) -> list[str]:
    """Every run of eight words."""
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[start : start + 8]) for start in range(len(words) - 7)]
