"""The wheel: what is in it, that stock OptiLLM finds the plugin after `pip install`, and that nothing stays behind.

Each environment has an OptiLLM of its own, a copy of this one's, for the wheel puts a file into it. The other packages
are this environment's, seen through links: with them would come this environment's install of ours.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = Path(sysconfig.get_path("purelib"))
PACKAGE = "optillm_cerebras_cepo"
SHIM = "optillm/plugins/cepo_cerebras_plugin.py"
SHIM_SOURCE = f"{PACKAGE}/host/cepo_cerebras_plugin.py"
DATA = {".yaml", ".json", ".typed", ".html", ".css", ".js"}  # what the package may hold beside modules


class Environment:
    """A virtual environment with an OptiLLM of its own and without this package."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = folder / "bin/python"
        self.site = folder / SITE.relative_to(sys.prefix)
        optillm = metadata.distribution("optillm")
        for file in optillm.files or []:
            source, target = SITE / file, self.site / file
            if target.is_relative_to(self.site) and ".." not in file.parts and "__pycache__" not in file.parts:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        links = folder / "links"
        links.mkdir()
        for entry in SITE.iterdir():
            if not re.match(r"optillm|_editable|__pycache__|.*\.pth$", entry.name):
                (links / entry.name).symlink_to(entry)
        (self.site / "links.pth").write_text(f"{links}\n")

    def pip(self, *arguments: str | Path) -> None:
        """Run this environment's pip, the version that made the suite's, and without an index to ask."""
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(self.python)]
        subprocess.run([*command, *arguments], check=True)

    def install(self, *arguments: str | Path) -> None:
        """Install as a user beside an installed OptiLLM does, from what is on this machine."""
        self.pip("install", "--no-deps", "--no-index", *arguments)

    def files(self) -> set[str]:
        """Return the installed files, without what Python compiled."""
        below = (path.relative_to(self.site) for path in self.site.rglob("*") if path.is_file())
        return {str(path) for path in below if "__pycache__" not in path.parts}

    def slug(self) -> str:
        """Return the slug of the plugin that the entry point `optillm.plugins` leads to."""
        look = "import importlib.metadata as m; (p,) = m.entry_points(group='optillm.plugins'); print(p.load().SLUG)"
        command = [str(self.python), "-I", "-c", look]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def approaches(self, elsewhere: Path) -> set[str]:
        """Return the approaches that the `optillm` command offers when it is started in another folder."""
        command = [str(self.python), "-I", "-c", "import optillm; optillm.main()", "--help"]
        shown = subprocess.run(command, cwd=elsewhere, check=True, capture_output=True, text=True).stdout
        choices = re.search(r"--approach \{(.*?)\}", shown, re.DOTALL)
        assert choices, shown
        return set(re.sub(r"\s", "", choices[1]).split(","))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the tree, offline."""
    return build(tmp_path_factory.mktemp("wheel"), "--wheel")


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Make an environment for one install."""
    return Environment(tmp_path / "environment")


def build(into: Path, *kind: str) -> Path:
    """Build the tree's wheel, offline: as it is, or by way of an sdist when no kind is given."""
    command = [sys.executable, "-m", "build", *kind, "--no-isolation", "--outdir", str(into), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = into.glob("*.whl")
    return built


def package_files() -> set[str]:
    """Return the package's files in the tree, without the shim: hatchling moves a file that it is told to place."""
    paths = (path for path in (ROOT / PACKAGE).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    names = {path.relative_to(ROOT).as_posix() for path in paths}
    assert SHIM_SOURCE in names
    return names - {SHIM_SOURCE}


def test_wheel_has_the_package_the_shim_and_its_metadata(wheel: Path) -> None:
    """The wheel holds the package's files, the shim in OptiLLM's folder of plugins, its metadata, and nothing else."""
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"{PACKAGE}-{metadata.version(PACKAGE)}.dist-info"
    about = {f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
    assert names == package_files() | {SHIM} | about
    assert {name for name in package_files() if Path(name).suffix not in {".py", *DATA}} == set()
    assert [name for name in names if "test" in Path(name).name] == []


def test_wheel_has_both_groups_of_entry_points(wheel: Path) -> None:
    """The wheel names the command, and the plugin for an OptiLLM that reads entry points."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        text = archive.read(name).decode()
    assert "[console_scripts]\ncepo-cerebras = optillm_cerebras_cepo.cli.main:main" in text
    assert "[optillm.plugins]\ncepo_cerebras = optillm_cerebras_cepo.host.entry_point" in text


def test_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """From the sdist, which lists what it includes, comes a wheel with the same files."""
    again = build(tmp_path)
    assert set(zipfile.ZipFile(again).namelist()) == set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
@pytest.mark.parametrize("editable", [False, True], ids=["wheel", "editable"])
def test_install_gives_optillm_the_plugin_and_uninstall_takes_it(
    environment: Environment, wheel: Path, tmp_path: Path, editable: bool
) -> None:
    """Stock OptiLLM offers the plugin after an install, plain or editable, and nothing of it is left afterwards."""
    before = environment.files()
    assert SHIM not in before
    environment.install(*(["--no-build-isolation", "--editable", ROOT] if editable else [wheel]))
    assert SHIM in environment.files()
    assert "cepo_cerebras" in environment.approaches(tmp_path)
    assert environment.slug() == "cepo_cerebras"
    environment.pip("uninstall", "--yes", PACKAGE)
    assert environment.files() == before
    assert "cepo_cerebras" not in environment.approaches(tmp_path)
