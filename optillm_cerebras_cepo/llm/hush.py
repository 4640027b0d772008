"""Keeping prompts out of the SDK's own log.

At DEBUG level, which OptiLLM's `--log debug` sets for the whole process, the SDK writes the options of each request
that it makes, and the messages are among them. An operator who wants prompts has OptiLLM's conversation log.
"""

from __future__ import annotations

import logging

from optillm_cerebras_cepo.llm.loop import THREAD

LOGGER = "cerebras.cloud.sdk._base_client"


class _Bodiless(logging.Filter):
    """Drops request options of our calls: those of our thread. What OptiLLM's own calls log is not ours to change."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.threadName == THREAD and str(record.msg).startswith("Request options"))


_BODILESS = _Bodiless()


def hush() -> None:
    """Let the SDK log no body of a call that runs on the network's thread. Twice is as good as once."""
    logging.getLogger(LOGGER).addFilter(_BODILESS)
