"""The list of layers in docs/architecture.md agrees with the imports."""

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
    PACKAGE / "voting" / "algebra_child.py",
}  # run as processes of their own


def layers() -> dict[str, int]:
    """Return the height of each layer in the list; the lowest line is 0."""
    block = re.search(r"```layers\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL)
    assert block is not None
    lines = block[1].strip().splitlines()
    named = [re.split(r"\s{2,}", line)[0].split() for line in lines]
    return {name: height for height, names in enumerate(reversed(named)) for name in names}


def layer(path: Path) -> str:
    """Return the first part of a file's path in the package."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Yield the full names of the modules that a file imports, also inside functions."""
    here = (NAME, *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            yield from (f"{module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """Return the layers of the package that a file imports."""
    parts = (name.split(".") for name in imports(path))
    return {part[1] for part in parts if part[0] == NAME and len(part) > 1 and part[1] != "__version__"}


def test_the_list_names_every_layer() -> None:
    """The list has each folder and file of the package, and nothing else."""
    assert set(layers()) == {layer(path) for path in FILES}


def test_imports_point_down() -> None:
    """A file imports from its own layer or a lower one."""
    height = layers()
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in FILES
        for name in ours(path)
        if name != layer(path) and height[name] >= height[layer(path)]
    ]
    assert wrong == []


def test_the_simulator_stands_alone() -> None:
    """The simulator imports no other layer: sharing code with the client would hide errors that both make."""
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
        ("latex2sympy2_extended", {"voting"}),
        ("rich", {"ask", "cli"}),
        ("pylatexenc", {"ask"}),
        ("markdown_it", {"ask", "web"}),
        ("nh3", {"web"}),
        ("latex2mathml", {"web"}),
        ("opentelemetry", {"telemetry"}),
    ],
)
def test_each_library_is_imported_in_its_own_layers(module: str, allowed: set[str]) -> None:
    """Flask, OptiLLM, the SDK and the other libraries are imported in the listed layers only."""
    users = {layer(path) for path in FILES for name in imports(path) if name.split(".")[0] == module}
    assert users == allowed


def test_the_sdk_is_imported_in_two_files() -> None:
    """Only these translate its exceptions into ours."""
    users = [path.name for path in FILES for name in imports(path) if name.startswith("cerebras.")]
    assert set(users) == {"sdk.py", "sdk_errors.py"}


def test_optillms_server_is_used_in_one_file() -> None:
    """The adapter, whose names `tests/host/test_pins.py` pins."""
    users = {path for path in FILES for name in imports(path) if name.startswith("optillm.server")}
    assert users == {PACKAGE / "host" / "optillm.py"}


def test_redis_is_imported_in_one_file() -> None:
    """That file is imported by the registry only, so that Redis stays optional."""
    users = [path.name for path in FILES for name in imports(path) if name.split(".")[0] == "redis"]
    assert set(users) == {"redis_store.py"}
    store = f"{NAME}.llm.rate_limits.redis_store"
    above = [path.name for path in FILES for name in imports(path) if name.startswith(store)]
    assert above == ["registry.py"]


def test_the_approach_does_not_import_the_client() -> None:
    """`cepo` receives a `ChatClient` and imports nothing of `llm`."""
    assert [str(path) for path in FILES if layer(path) == "cepo" and "llm" in ours(path)] == []


def test_only_the_command_prints() -> None:
    """All other files return, raise or log."""
    printing = {
        path
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing - PROGRAMS == {PACKAGE / "cli" / "main.py"}


def test_no_prompt_of_optillm_is_in_the_repository() -> None:
    """No eight consecutive words of its prompts: the package calls them and does not copy them."""
    import optillm.cepo.cepo as upstream

    prompts = [
        node.value
        for node in ast.walk(ast.parse(Path(upstream.__file__).read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 40
    ]
    theirs = {words for prompt in prompts for words in eights(prompt)}
    assert len(theirs) > 500
    files = [*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    assert [str(path) for path in files if theirs & set(eights(path.read_text()))] == []


def eights(text: str) -> list[str]:
    """Return every run of eight words."""
    words = re.findall(r"\w+", text.lower())
    return [" ".join(words[start : start + 8]) for start in range(len(words) - 7)]
