"""The processes of a measurement of whole servers: an API, clients, and the servers between them. Linux only."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from support.ports import free_port

from bench.clients import Load, Told

HERE = Path(__file__).parent
KEY = "csk-0123456789abcdef"
STEERING = ("CEPO_", "CEREBRAS_", "OPTILLM_", "OPENAI_")  # variables of the developer's shell that no server sees
TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
PATIENCE = 120.0  # seconds for a server to come up; `optillm` with all that it requires takes half a minute


@dataclass(frozen=True)
class Memory:
    """Resident megabytes of a process, and of all processes that it has started."""

    own: float
    helpers: float

    @property
    def all(self) -> float:
        """Together."""
        return self.own + self.helpers


class Server:
    """A server under measurement.

    Args:
        command: what starts it, without its port.
        environ: beside what every process here has.
        folder: an empty one, for its home, its working directory and its log.

    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], folder: str) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = Path(folder) / f"{self._port}.log"
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("CEPO_", "CEREBRAS_", "OPTILLM_"))
        }
        program = Path(sys.executable).with_name(command[0])
        # A file, and no pipe: somebody would have to read it, on the same processor.
        with self._log.open("w") as log:
            self._began = time.monotonic()
            self._process = subprocess.Popen(
                [str(program), *command[1:], "--port", str(self._port)],
                cwd=folder,
                env=clean | {"HOME": folder} | dict(environ),
                stdout=log,
                stderr=log,
            )

    def healthy(self) -> float:
        """Wait until /health answers 200; returns the seconds since the process was started."""
        while time.monotonic() - self._began < PATIENCE:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return time.monotonic() - self._began
            except OSError:
                time.sleep(0.01)
            finally:
                connection.close()
            if self._process.poll() is not None:
                break
        raise RuntimeError(f"the server never became healthy:\n{self._log.read_text()}")

    @property
    def memory(self) -> Memory:
        """As it is now."""
        own, *helpers = [_resident(process) for process in _tree(self._process.pid)]
        return Memory(own, sum(helpers))

    @property
    def processor(self) -> float:
        """Seconds that it has used so far, with all that it has started and that still run."""
        return sum(_processor(process) for process in _tree(self._process.pid))

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def serving(commands: Iterable[Sequence[str]], environ: Mapping[str, str]) -> Iterator[list[Server]]:
    """Start all of these at once, and stop them when the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        servers = [Server(command, environ, folder) for command in commands]
        try:
            yield servers
        finally:
            for server in servers:
                server.stop()


@contextmanager
def most_memory(server: Server) -> Iterator[list[Memory]]:
    """Look at a server's memory while the block runs; then the list holds the most that was seen."""
    seen = [server.memory]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            seen.append(server.memory)

    watcher = threading.Thread(target=watch)
    watcher.start()
    found: list[Memory] = []
    try:
        yield found
    finally:
        over.set()
        watcher.join()
        found.append(max(seen, key=lambda memory: memory.all))


class Clients:
    """The process of the clients."""

    def __init__(self) -> None:
        self._process = _program("clients.py")

    def ask(self, load: Load) -> Told:
        """Put a load on a server, and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(load)) + "\n")
        self._process.stdin.flush()
        return Told(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)


@contextmanager
def instant_api() -> Iterator[str]:
    """Run the API that answers at once; yields its address."""
    process = _program("instant.py")
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        _end(process)


def _program(name: str) -> subprocess.Popen[str]:
    # Isolated, for neither needs more than the standard library.
    command = [sys.executable, "-I", str(HERE / name)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate()


def _tree(process: int) -> list[int]:
    """A process and all that it has started, first itself."""
    parents = {int(path.name): _parent(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _stat(process: int) -> list[str]:
    """The fields after the name, which may hold anything; none of a process that is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _parent(process: int) -> int:
    stat = _stat(process)
    return int(stat[1]) if stat else 0


def _processor(process: int) -> float:
    stat = _stat(process)
    return (int(stat[11]) + int(stat[12])) * TICK if stat else 0.0


def _resident(process: int) -> float:
    stat = _stat(process)
    return int(stat[21]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if stat else 0.0
