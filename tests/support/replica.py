"""Processes that ask one question after the other, forked from one that has everything imported (see replicas.py)."""

from __future__ import annotations

import json
import logging
import multiprocessing
import sys
import threading
from typing import Any

from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings.declaration import Settings

LOGGER = "optillm_cerebras_cepo"
FORK = multiprocessing.get_context("fork")


class Kept(logging.Handler):
    """Keeps what is logged, and tells of it at once."""

    def __init__(self, news: Any) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []
        self._news = news

    def emit(self, record: logging.LogRecord) -> None:
        """Keep level and message."""
        self.lines.append((record.levelname, record.getMessage()))
        self._news.put({"logged": self.lines[-1]})


def patient(seconds: float) -> None:
    """Wait so long for an answer of Redis, and count the other processes with each change."""
    from optillm_cerebras_cepo.llm.rate_limits import redis_store

    redis_store.RESPONSE_TIMEOUT, redis_store.HEARTBEAT_INTERVAL = seconds, 0.0


def replica(asked: dict[str, Any], ready: Any, go: Any, over: Any, news: Any) -> None:
    """Say `ready`, wait for `go`, ask until it is `over` or refused, and tell what became of it."""
    kept, errors, seconds = Kept(news), list[str](), list[float]()
    logging.getLogger(LOGGER).addHandler(kept)
    logging.getLogger(LOGGER).setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every call
    if asked["patience"]:
        patient(asked["patience"])
    runtime = Runtime(asked["scale"])
    api = runtime.client(asked["url"], asked["key"])
    api.list_models()  # connected, as a server that has been up for a while
    settings = Settings(**asked["settings"])

    def answered() -> bool:
        try:
            seconds.append(runtime.answer(api, CepoRequest(Question("What is 6 times 7?"), settings)).seconds)
        except CepoError as error:
            errors.append(f"{type(error).__name__}: {error.message}")
            return False
        return True

    def client() -> None:
        while not over.is_set() and (answered() or not asked["until_refused"]):
            pass

    threads = [threading.Thread(target=client) for _ in range(asked["clients"])]
    ready.release()
    go.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runtime.reset()
    news.put({"answered": len(seconds), "errors": errors, "log": kept.lines, "redis": "redis" in sys.modules})


def main() -> None:
    """Print `ready`, let all go at a line of input, and print their news until each has told what became of it."""
    asked = json.loads(sys.argv[1])
    ready, go, over, news = FORK.Semaphore(0), FORK.Event(), FORK.Event(), FORK.Queue()
    processes = [FORK.Process(target=replica, args=(asked, ready, go, over, news)) for _ in range(asked["count"])]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    print("ready", flush=True)
    sys.stdin.readline()
    go.set()
    threading.Thread(target=lambda: sys.stdin.read() or over.set(), daemon=True).start()
    left = len(processes)
    while left:
        one = news.get()
        left -= "answered" in one
        print(json.dumps(one), flush=True)


if __name__ == "__main__":
    main()
