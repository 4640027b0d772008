"""A real redis-server."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from support.ports import free_port
from support.waiting import until

MISSING = "these tests need redis-server: `make redis-server` installs Debian's, or put another one on the PATH"


class RedisServer:
    """A redis-server on a port of its own, which forgets everything when it stops."""

    def __init__(self, folder: str) -> None:
        command = shutil.which("redis-server")
        assert command is not None, MISSING
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client: Any = Redis(port=self.port, retry=Retry(NoBackoff(), 0))
        self._command = [command, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        until(self._answers)

    def kill(self) -> None:
        """End it without a word to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "redis-server ended at once"
        try:
            return bool(self.client.ping())
        except RedisError:
            return False

    def limits(self) -> list[str]:
        """The keys of what is kept of limits."""
        return [key.decode() for key in self.client.keys("cepo_cerebras:limits:" + "?" * 64)]

    def processes(self) -> int:
        """How many processes share these limits, of the one API that is called."""
        return sum(int(self.client.zcard(f"{key}:processes")) for key in self.limits())


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """Run one while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(folder)
        server.start()
        try:
            yield server
        finally:
            server.client.close()
            server.kill()
