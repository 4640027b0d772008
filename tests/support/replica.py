"""One of several processes that share a key; see `replicas`. It asks questions from a word on its input to its end."""

from __future__ import annotations

import json
import logging
import sys
import threading

from optillm_cerebras_cepo.chat import Question
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings import Settings

LOGGER = "optillm_cerebras_cepo"


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep level and message."""
        self.lines.append((record.levelname, record.getMessage()))


def main() -> None:
    """Print `ready`, wait for a line, ask until the input ends, and print what became of it."""
    asked = json.loads(sys.argv[1])
    kept, over, errors, seconds = Kept(), threading.Event(), list[str](), list[float]()
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
    print("ready", flush=True)
    sys.stdin.readline()
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    runtime.reset()
    answer = {"answered": len(seconds), "longest": max(seconds, default=0), "errors": errors, "log": kept.lines}
    print(json.dumps(answer | {"redis": "redis" in sys.modules}), flush=True)


if __name__ == "__main__":
    main()
