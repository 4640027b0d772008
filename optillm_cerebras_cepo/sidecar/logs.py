"""Logs as JSON, one object a line on standard error: OptiLLM's, ours, and the access log."""

from __future__ import annotations

import logging
from typing import Any

from pythonjsonlogger.json import JsonFormatter

ACCESS = logging.getLogger("optillm_cerebras_cepo.access")


def to_json() -> None:
    """Have the whole process log so. To be called before OptiLLM is imported, which else sets its own format."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.INFO)


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
