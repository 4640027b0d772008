"""Print and draw the files that one planned request enters, from the sidecar to the SDK and back: `make way`.

The sidecar runs in this process, in front of a simulated API, and every call of a function is noted while one request
is answered. The simulator's files and the sidecar's background threads are left out. The picture is
`docs/way-of-a-request.svg`: a column for each layer, with its files in the order in which the request enters them.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
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
PICTURE = PACKAGE.parent / "docs/way-of-a-request.svg"
WAY = ("sidecar", "host", "session", "cepo", "llm")  # layers from left to right
HELPERS = ("core", "settings", "response_format", "voting", "llm/rate_limits")  # below the layers that use them
TITLES = {"session": "runtime and session", "llm": "llm, to the API"}
WIDTH, STEP, ROW, TOP = 176, 200, 21, 46  # pixels: a column, from column to column, a line, and all above the first
BACKGROUND = ("cepo-cerebras-readiness", "cerebras-simulator", "client")
QUESTION = {"model": "any", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}


class Recorder:
    """Files whose functions are called while `recording`."""

    def __init__(self) -> None:
        self.recording = False
        self.files: dict[str, None] = {}  # in order of first entry

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Note the file of a call; this is a profile function."""
        if self.recording and event == "call" and threading.current_thread().name not in BACKGROUND:
            self.files.setdefault(frame.f_code.co_filename)

    def of_package(self) -> list[str]:
        """Return the package's files without the simulator's, relative to it, in order of first entry."""
        paths = (Path(name) for name in list(self.files))
        ours = [path.relative_to(PACKAGE) for path in paths if PACKAGE in path.parents]
        return [str(path) for path in ours if path.parts[0] != "simulator"]


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


def layer(file: str) -> str:
    """Return the layer of a file; `runtime.py` belongs to that of `session.py`."""
    folder = str(Path(file).parent)
    return folder if folder != "." else "session"


def picture(files: Sequence[str]) -> str:
    """Return an SVG with these files: the layers of the way from left to right, their helpers below."""
    by_layer: dict[str, list[str]] = {}
    for file in files:
        by_layer.setdefault(layer(file), []).append(Path(file).stem)
    middle = 10 + TOP + ROW * max(len(by_layer[name]) for name in WAY)
    bottom = middle + 24 + TOP + ROW * max(len(by_layer.get(name, ())) for name in HELPERS)
    boxes = [*_boxes(by_layer, WAY, 10, middle, "#eff6ff"), *_boxes(by_layer, HELPERS, middle + 24, bottom, "#f8fafc")]
    boxes += [
        f'<path d="M{10 + number * STEP - 22} 30h18m-7 -5 7 5 -7 5" fill="none" stroke="#334155"/>'
        for number in range(1, len(WAY))
    ]
    width, height = 10 + len(WAY) * STEP - (STEP - WIDTH) + 10, bottom + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="The {len(files)} files that one request enters, by layer">\n'
        "<style>text{font:13px system-ui,sans-serif;fill:#0f172a}.t{font-weight:600}</style>\n"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(boxes) + "\n</svg>\n"
    )


def _boxes(files: Mapping[str, Sequence[str]], names: Sequence[str], top: int, bottom: int, fill: str) -> Iterator[str]:
    """Yield a box for each layer, with its name and its files."""
    for number, name in enumerate(names):
        x = 10 + number * STEP
        if name not in files:
            continue
        yield f'<rect x="{x}" y="{top}" width="{WIDTH}" height="{bottom - top}" rx="6" fill="{fill}" stroke="#94a3b8"/>'
        yield f'<text x="{x + 12}" y="{top + 24}" class="t">{TITLES.get(name, name)}</text>'
        for row, file in enumerate(files[name]):
            yield f'<text x="{x + 12}" y="{top + TOP + ROW * row}">{file.removesuffix(".py")}</text>'


def main(_: Sequence[str] = ()) -> int:
    """Print the files in order of first entry, and draw them."""
    files = files_of_one_request()
    print("\n".join(files))
    total = [path for path in PACKAGE.rglob("*.py") if "simulator" not in path.parts]
    lines = sum(len(path.read_text().splitlines()) for path in total)
    print(f"{len(files)} files of {len(total)}; {lines:,} lines in all without the simulator")
    PICTURE.write_text(picture(files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
