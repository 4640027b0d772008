"""docker/install.sh, with a Python that only records what it is asked to do: no package is fetched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = "docker/install.sh"

RECORDING = """#!/bin/sh
echo "$*" >>"{log}"
case "$1 $2" in "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/pyvenv.cfg" ;; esac
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A command that writes its arguments to `log` beside it, and makes environments whose Python is itself."""
    command = tmp_path / "python"
    command.write_text(RECORDING.format(log=tmp_path / "log"))
    command.chmod(0o755)
    return command


def install(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script from another folder than its own."""
    command = ["sh", str(ROOT / SCRIPT), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_it_installs_the_lock_and_this_package_without_resolving(tmp_path: Path, python: Path) -> None:
    """Twice: it may replace an environment. Its last line is the command to run."""
    for _ in range(2):
        (tmp_path / "log").unlink(missing_ok=True)
        done = install("env", str(python), folder=tmp_path)
        assert done.returncode == 0, done.stderr
        asked = (tmp_path / "log").read_text().splitlines()
        installs = [line for line in asked if line.startswith("-m pip install")]
        assert all("--no-deps" in line for line in installs)
        *locks, own = installs
        assert all("--require-hashes" in line for line in locks)
        assert {line.rpartition("/")[2] for line in locks} == {
            "pip.lock",
            "requirements.lock",
            "requirements-build.lock",
        }
        assert own.endswith(".whl")
        assert done.stdout.rstrip().endswith(f"{tmp_path}/env/bin/cepo-cerebras serve")


def test_it_replaces_no_other_folder(tmp_path: Path, python: Path) -> None:
    """A wrong name must not cost the user's files."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    assert install("mine", str(python), folder=tmp_path).returncode == 1
    assert (tmp_path / "mine" / "file").exists()
    assert install(folder=tmp_path).returncode == 2


def test_the_message_of_a_missing_package_names_this_script() -> None:
    """And the script is there."""
    program = "import sys; sys.modules['waitress'] = None; from optillm_cerebras_cepo.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "serve"], capture_output=True, text=True, check=False)
    assert f"sh {SCRIPT} DIR" in done.stderr
