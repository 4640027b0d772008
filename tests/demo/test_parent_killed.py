from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = """
import os, pathlib, signal, sys, time
from optillm_cerebras_cepo.demo.child_process import exit_when_stdin_closes

signal.signal(signal.SIGTERM, signal.SIG_IGN)
exit_when_stdin_closes()
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""

PARENT = """
import os, sys, time
from optillm_cerebras_cepo.demo.child_process import ChildProcess

with ChildProcess("the server", [sys.executable, "-c", sys.argv[1], sys.argv[2]], os.environ):
    with ChildProcess("another", [sys.executable, "-c", sys.argv[1], sys.argv[3]], os.environ):
        time.sleep(60)
"""


def pid_in(path: Path) -> int:
    """Return the process id that a child wrote, as soon as it has."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()):
            return int(text)
        time.sleep(0.01)
    raise AssertionError("no child wrote its id")


def is_gone(pid: int) -> bool:
    """Return whether the process ends within 10 s; a zombie has ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """SIGKILL leaves the parent no time to stop them: each child ends by itself."""
    pids = [tmp_path / "one", tmp_path / "two"]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD, *map(str, pids)])
    try:
        children = [pid_in(path) for path in pids]
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert all(is_gone(child) for child in children)


def test_ends_when_standard_input_closes(tmp_path: Path) -> None:
    """Input that arrives before does not end it."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path / "pid")], stdin=subprocess.PIPE)
    assert child.stdin is not None
    pid_in(tmp_path / "pid")
    child.stdin.write(b"still here\n")
    child.stdin.flush()
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.3)
    child.stdin.close()
    assert child.wait(10) == 0
