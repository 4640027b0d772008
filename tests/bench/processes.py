"""Processes for measuring servers: the API, the clients and the servers. Linux only."""

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

from bench.clients import Load, LoadResult

HERE = Path(__file__).parent
KEY = "csk-0123456789abcdef"
STEERING = ("CEPO_", "CEREBRAS_", "OPTILLM_", "OPENAI_")  # variables of the shell that the servers must not see
TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
PATIENCE = 120.0  # seconds for a server to start; `optillm` with all requirements takes half a minute


@dataclass(frozen=True)
class Memory:
    """Resident megabytes of a process and of its descendants."""

    own: float
    helpers: float

    @property
    def all(self) -> float:
        """Sum of both."""
        return self.own + self.helpers


class Server:
    """A server under measurement.

    Args:
        command: without the port.
        environ: further environment variables.
        folder: an empty folder for its home, working directory and log.

    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], folder: str) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._log = Path(folder) / f"{self._port}.log"
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("CEPO_", "CEREBRAS_", "OPTILLM_"))
        }
        program = Path(sys.executable).with_name(command[0])
        # A file instead of a pipe, which would need a reader on the same processor.
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
        """Wait until /health returns 200, and return the seconds since the start of the process."""
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
        """Current memory."""
        own, *helpers = [_resident(process) for process in _tree(self._process.pid)]
        return Memory(own, sum(helpers))

    @property
    def processor(self) -> float:
        """Processor seconds of the process and its running descendants."""
        return sum(_processor(process) for process in _tree(self._process.pid))

    def stop(self) -> None:
        """Terminate the process."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def serving(commands: Iterable[Sequence[str]], environ: Mapping[str, str]) -> Iterator[list[Server]]:
    """Start servers together, and stop them at the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        servers = [Server(command, environ, folder) for command in commands]
        try:
            yield servers
        finally:
            for server in servers:
                server.stop()


@contextmanager
def most_memory(server: Server) -> Iterator[list[Memory]]:
    """Measure a server's memory within the block; afterwards the list has the largest value."""
    samples = [server.memory]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            samples.append(server.memory)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result: list[Memory] = []
    try:
        yield result
    finally:
        done.set()
        watcher.join()
        result.append(max(samples, key=lambda memory: memory.all))


class Clients:
    """Process that runs the clients."""

    def __init__(self) -> None:
        self._process = _program("clients.py")

    def send(self, load: Load) -> LoadResult:
        """Send a load to a server, and wait for the result."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(load)) + "\n")
        self._process.stdin.flush()
        return LoadResult(**json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)


@contextmanager
def instant_api() -> Iterator[str]:
    """Run the API that answers immediately, and yield its URL."""
    process = _program("instant.py")
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        _end(process)


def _program(name: str) -> subprocess.Popen[str]:
    # Isolated, because both programs need only the standard library.
    command = [sys.executable, "-I", str(HERE / name)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate()


def _tree(process: int) -> list[int]:
    """Return a process and its descendants."""
    parents = {int(path.name): _parent(int(path.name)) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found = [process]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _stat(process: int) -> list[str]:
    """Return the fields after the process name, which may contain any character; none for an ended process."""
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
