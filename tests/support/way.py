"""Print the files of the package that one planned request enters, from the sidecar to the SDK and back: `make way`.

The sidecar runs in this process, in front of a simulated API, and every call of a function is noted while one request
is answered. The simulator's files and the sidecar's background threads are left out.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

import optillm_cerebras_cepo
from optillm_cerebras_cepo.cli.main import main as command
from optillm_cerebras_cepo.simulator import Simulator, SimulatorOptions
from optillm_cerebras_cepo.simulator.answers import Rule
from support.ports import free_port
from support.waiting import until

PACKAGE = Path(optillm_cerebras_cepo.__file__).parent
MOST_FILES = 45
BACKGROUND = ("cepo-cerebras-readiness", "cerebras-simulator", "client")
QUESTION = {"model": "any", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}


class Recorder:
    """Files whose functions are called while `recording`."""

    def __init__(self) -> None:
        self.recording = False
        self.files: set[str] = set()

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Note the file of a call; this is a profile function."""
        if self.recording and event == "call" and threading.current_thread().name not in BACKGROUND:
            self.files.add(frame.f_code.co_filename)

    def of_package(self) -> list[str]:
        """Return the package's files without the simulator's, relative to it."""
        paths = (Path(name) for name in self.files)
        ours = [path.relative_to(PACKAGE) for path in paths if PACKAGE in path.parents]
        return sorted(str(path) for path in ours if path.parts[0] != "simulator")


def files_of_one_request() -> list[str]:
    """Start a sidecar, answer one request to warm it up and another one that is recorded, and stop."""
    recorder, port = Recorder(), free_port()
    url = f"http://127.0.0.1:{port}"

    def ask() -> None:
        try:
            with httpx.Client(trust_env=False, timeout=60.0) as client:
                until(lambda: _is_ready(client, f"{url}/ready"))
                client.post(f"{url}/v1/chat/completions", json=QUESTION).raise_for_status()
                recorder.recording = True
                client.post(f"{url}/v1/chat/completions", json=QUESTION).raise_for_status()
                recorder.recording = False
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    rules = (Rule(text="The answer is 42. Rating: [[1]]"),)
    with Simulator(SimulatorOptions(rules=rules)) as api:
        os.environ |= {"CEREBRAS_API_KEY": "csk-simulated", "CEREBRAS_BASE_URL": api.url}
        threading.setprofile(recorder)
        threading.Thread(target=ask, name="client", daemon=True).start()
        command(["serve", "--host", "127.0.0.1", "--port", str(port)])
    return recorder.of_package()


def _is_ready(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == 200
    except httpx.TransportError:
        return False


def main(_: Sequence[str] = ()) -> int:
    """Print the files; return 1 if there are more than 45."""
    files = files_of_one_request()
    print("\n".join(files))
    total = [path for path in PACKAGE.rglob("*.py") if "simulator" not in path.parts]
    lines = sum(len(path.read_text().splitlines()) for path in total)
    print(f"{len(files)} files of {len(total)}, at most {MOST_FILES}; {lines:,} lines in all without the simulator")
    return int(len(files) > MOST_FILES)


if __name__ == "__main__":
    sys.exit(main())
