"""Logs as JSON, one object a line on standard error: OptiLLM's, ours, and the access log.

One thread writes them. Were each line written by who has it to say, all other threads would wait for it in turn: a
sixth of all that a busy server does.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import QueueHandler, QueueListener
from typing import Any

from pythonjsonlogger.json import JsonFormatter

PAUSE = 0.05  # seconds between two looks at what there is to write
MOST = 10_000  # lines that wait to be written; when nobody takes them, who has more to say waits

ACCESS = logging.getLogger("optillm_cerebras_cepo.access")


@contextmanager
def as_json() -> Iterator[None]:
    """Have the whole process log so. To be entered before OptiLLM is imported, which else sets its own format."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    writer = _Writer(lines, handler)
    logging.root.handlers[:] = [_Handler(lines)]
    logging.root.setLevel(logging.INFO)
    writer.start()
    try:
        yield
    finally:
        logging.root.handlers[:] = [handler]
        writer.stop()


def less() -> None:
    """Leave out what OptiLLM says of each request and httpx of each call, which we say ourselves, and of queues."""
    # OptiLLM 0.3 sets the level of its own logger only.
    if logging.INFO == logging.root.level == logging.getLogger("optillm.server").getEffectiveLevel():
        for name in ("optillm.server", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def access(line: dict[str, Any]) -> None:
    """Log one request."""
    ACCESS.info("request", extra=line)


class _Handler(QueueHandler):
    """Leaves each line to the writer."""

    def __init__(self, lines: queue.SimpleQueue[logging.LogRecord]) -> None:
        super().__init__(lines)
        self._lines = lines

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        record.msg, record.args = record.getMessage(), None  # what it is made of may change before it is written
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        while self._lines.qsize() >= MOST:
            time.sleep(PAUSE)
        super().enqueue(record)


class _Writer(QueueListener):
    """Writes what has come, and looks again after a pause: to be woken for each line costs as much as to write it."""

    def handle(self, record: logging.LogRecord) -> None:
        """Write one line. One that cannot be written is left out: whoever logs would wait for a thread that ended."""
        with suppress(BaseException):  # such as RecursionError, which handlers hand on
            super().handle(record)

    def dequeue(self, block: bool) -> logging.LogRecord:
        try:
            return super().dequeue(False)
        except queue.Empty:
            time.sleep(PAUSE)
            return super().dequeue(block)
