"""Prometheus and its promtool."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support import web
from support.ports import free_port
from support.waiting import until

MISSING = "Prometheus is needed: `make prometheus` installs Debian's, or put prometheus and promtool on the PATH"


def program(name: str) -> str:
    """Return the path of `promtool` or `prometheus`."""
    path = shutil.which(name)
    assert path is not None, MISSING
    return path


def promtool(*arguments: str | Path) -> None:
    """Run promtool; fail with what it printed if it finds a mistake."""
    done = subprocess.run([program("promtool"), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Series:
    """Samples of a query's result with the same labels: (seconds since 1970, value), in order."""

    labels: dict[str, str]
    samples: list[tuple[float, float]]


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus at `url`."""

    url: str

    def now(self, query: str) -> list[Series]:
        """Return the present value of a query, one sample a series."""
        return [Series(one["metric"], [_sample(one["value"])]) for one in self._get("query", query=query)]

    def history(self, query: str, start: float, end: float, step: float) -> list[Series]:
        """Return the values of a query every `step` seconds between two times."""
        result = self._get("query_range", query=query, start=start, end=end, step=step)
        return [Series(one["metric"], [_sample(value) for value in one["values"]]) for one in result]

    def _get(self, what: str, **parameters: Any) -> list[dict[str, Any]]:
        reply = web.get(f"{self.url}/api/v1/{what}", params=parameters).json()
        assert reply["status"] == "success", reply
        result: list[dict[str, Any]] = reply["data"]["result"]
        return result


def _sample(value: tuple[float, str]) -> tuple[float, float]:
    return value[0], float(value[1])


@contextmanager
def prometheus(config: Mapping[str, Any]) -> Iterator[Prometheus]:
    """Run one with this configuration while the block runs; it forgets everything at its end."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "prometheus.yml"
        file.write_text(json.dumps(config))
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={file}",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=error",
            ]
        )
        url = f"http://127.0.0.1:{port}"

        def is_ready() -> bool:
            assert process.poll() is None, "prometheus ended at once"
            try:
                return web.get(f"{url}/-/ready").status_code == 200
            except httpx.TransportError:
                return False

        try:
            until(is_ready)
            yield Prometheus(url)
        finally:
            process.terminate()
            process.wait()
