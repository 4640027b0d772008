"""JSON logs on standard error, one object per line: OptiLLM's, ours, and the access log.

One thread writes them. If each thread wrote its own, waiting for each other would take a sixth of a busy server's time.
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

POLL_SECONDS = 0.05
MAX_QUEUED = 10_000  # log records; if nobody reads standard error, threads that log more have to wait

ACCESS = logging.getLogger("optillm_cerebras_cepo.access")


@contextmanager
def json_logging() -> Iterator[None]:
    """Log everything in this process as JSON. Enter it before OptiLLM is imported, which sets its own format."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    writer = _Writer(records, handler)
    logging.root.handlers[:] = [_BoundedQueueHandler(records)]
    logging.root.setLevel(logging.INFO)
    writer.start()
    try:
        yield
    finally:
        logging.root.handlers[:] = [handler]
        writer.stop()


def quiet_libraries() -> None:
    """Drop the lines that OptiLLM and httpx log per request and waitress logs per queued request; we log our own."""
    # OptiLLM 0.3 sets the level of its own logger only.
    if logging.INFO == logging.root.level == logging.getLogger("optillm.server").getEffectiveLevel():
        for name in ("optillm.server", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def log_access(fields: dict[str, Any]) -> None:
    """Log one request."""
    ACCESS.info("request", extra=fields)


class _BoundedQueueHandler(QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        record.msg, record.args = record.getMessage(), None  # the arguments may change before the record is written
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        while self.queue.qsize() >= MAX_QUEUED:  # type: ignore[attr-defined]  # it is a SimpleQueue
            time.sleep(POLL_SECONDS)
        super().enqueue(record)


class _Writer(QueueListener):
    """Polls the queue: to wake a thread for each record costs as much as to write it."""

    def handle(self, record: logging.LogRecord) -> None:
        with suppress(BaseException):  # also RecursionError, which handlers raise: this thread must not end
            super().handle(record)

    def dequeue(self, block: bool) -> logging.LogRecord:
        try:
            return super().dequeue(False)
        except queue.Empty:
            time.sleep(POLL_SECONDS)
            return super().dequeue(block)
