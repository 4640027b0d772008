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

from pythonjsonlogger.json import JsonFormatter

from optillm_cerebras_cepo.core.errors import HUNG_UP

POLL_SECONDS = 0.05
MAX_QUEUED = 10_000  # log records; if nobody reads standard error, threads that log more have to wait

OPTILLM = logging.getLogger("optillm.server")


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
    OPTILLM.addFilter(_is_news)
    writer.start()
    try:
        yield
    finally:
        OPTILLM.removeFilter(_is_news)
        logging.root.handlers[:] = [handler]
        writer.stop()


def quiet_libraries() -> None:
    """Drop the lines that httpx logs per request and waitress per queued request; we log our own."""
    if logging.root.level == logging.INFO:
        logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a line of OptiLLM's server says what ours do not: of its start and of each request they do.

    A client that hung up is an error to OptiLLM. With `--log debug` all lines are logged.
    """
    if OPTILLM.getEffectiveLevel() < logging.INFO:
        return True
    return record.levelno > logging.INFO and HUNG_UP not in record.getMessage()


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
