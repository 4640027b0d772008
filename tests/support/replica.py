"""Several processes that share a key, see `replicas`: forks of one, for to import everything takes seconds."""

from __future__ import annotations

import json
import logging
import multiprocessing
import sys
import threading
from typing import Any

from optillm_cerebras_cepo.chat import Question
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings import Settings

LOGGER = "optillm_cerebras_cepo"
FORK = multiprocessing.get_context("fork")


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep level and message."""
        self.lines.append((record.levelname, record.getMessage()))


def replica(asked: dict[str, Any], ready: Any, go: Any, over: Any, told: Any) -> None:
    """Say `ready`, wait for `go`, ask until it is `over`, and tell what became of it."""
    kept, errors, seconds = Kept(), list[str](), list[float]()
    logging.getLogger(LOGGER).addHandler(kept)
    logging.getLogger(LOGGER).setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every call
    runtime = Runtime(asked["scale"])
    api = runtime.client(asked["url"], asked["key"])
    api.list_models()  # connected, as a server that has been up for a while
    settings = Settings(**asked["settings"])

    def ask() -> None:
        try:
            seconds.append(runtime.solve(Question("What is 6 times 7?"), settings, api).seconds)
        except CepoError as error:
            errors.append(f"{type(error).__name__}: {error.message}")

    def client() -> None:
        while not over.is_set():
            ask()

    threads = [threading.Thread(target=client) for _ in range(asked["clients"])]
    ready.release()
    go.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runtime.reset()
    told.put({"answered": len(seconds), "errors": errors, "log": kept.lines, "redis": "redis" in sys.modules})


def main() -> None:
    """Print `ready`, let all go at a line of input, and at its end print what they told."""
    asked = json.loads(sys.argv[1])
    ready, go, over, told = FORK.Semaphore(0), FORK.Event(), FORK.Event(), FORK.Queue()
    processes = [FORK.Process(target=replica, args=(asked, ready, go, over, told)) for _ in range(asked["count"])]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    print("ready", flush=True)
    sys.stdin.readline()
    go.set()
    sys.stdin.read()
    over.set()
    print(json.dumps([told.get() for _ in processes]), flush=True)


if __name__ == "__main__":
    main()
