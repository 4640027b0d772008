"""Time to the first chunk of a stream."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import optillm.server as server

from bench.api import simulated
from bench.loops import KEY, easy
from bench.page import Claim, Section, table
from optillm_cerebras_cepo.host.plugin import SLUG

SECONDS = 0.2  # per call
TARGET = 50  # milliseconds until the first chunk

TEXT = """\
Streams of effort `medium` through OptiLLM's application in this process, on an API whose calls take {seconds:g} s:
medians of {count} streams, and the slowest. Times start when OptiLLM calls the plugin; before that, OptiLLM creates a
client for each request.

{rows}"""


def run(pictures: Path, quick: bool) -> Section:
    """Measure the time to the first chunk, the first line of progress and the first piece of the answer."""
    del pictures
    count = 2 if quick else 12
    with simulated(seconds=SECONDS) as api, _serving(api.url) as called:
        streams = [_stream(called, number) for number in range(count + 1)][1:]  # the first one opens the connections
    first, progress, answer = ([stream[at] * 1000 for stream in streams] for at in range(3))
    rows = [
        [name, f"{median(times):.1f}", f"{max(times):.1f}"]
        for name, times in (
            ("first chunk: the role", first),
            ("first line of progress", progress),
            ("first piece of the answer", answer),
        )
    ]
    claims = [
        Claim(
            "first chunk of a stream, after the plugin is called",
            f"≤ {TARGET} ms",
            f"{median(first):.1f} ms, slowest {max(first):.1f} ms",
            max(first) <= TARGET,
        )
    ]
    text = TEXT.format(
        seconds=SECONDS, count=count, rows=table(["after the call", "median (ms)", "slowest (ms)"], rows)
    )
    return Section("Time to the first chunk", text, () if quick else claims)


@contextmanager
def _serving(url: str) -> Iterator[list[float]]:
    """Configure OptiLLM's application for this API; yield the times of the plugin's calls."""
    os.environ["CEREBRAS_API_KEY"] = KEY
    server.load_plugins()
    server.server_config.update(base_url=url, approach=SLUG)
    called: list[float] = []
    plugin = server.plugin_approaches[SLUG]

    def timed(
        system_prompt: str,
        initial_query: str,
        client: Any,
        model: str,
        request_config: dict[str, Any] | None = None,
    ) -> Any:
        called.append(time.perf_counter())
        return plugin(system_prompt, initial_query, client, model, request_config)

    server.plugin_approaches[SLUG] = timed
    try:
        yield called
    finally:
        server.plugin_approaches[SLUG] = plugin
        del os.environ["CEREBRAS_API_KEY"]


def _stream(called: list[float], number: int) -> tuple[float, float, float]:
    """Return the seconds to the first chunk, the first line of progress and the first piece of the answer."""
    body = {"model": "any", "stream": True, "messages": [{"role": "user", "content": easy(f"stream-{number}")}]}
    response = server.app.test_client().post("/v1/chat/completions", json=body)
    seen: dict[str, float] = {}
    for part in response.response:
        now = time.perf_counter()
        text = part if isinstance(part, str) else part.decode()
        for name in ('"role": "assistant"', '"reasoning_content"', '"content": "'):
            if name in text and (name != '"content": "' or '"role"' not in text):
                seen.setdefault(name, now)
    first, progress, answer = (
        seen[name] - called[-1] for name in ('"role": "assistant"', '"reasoning_content"', '"content": "')
    )
    return first, progress, answer
