"""Detection of an outage: a model that answers none of a request's calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optillm_cerebras_cepo.core.errors import ApiTimeout, ApiUnavailable, ApiUnreachable

OUTAGE = (ApiUnavailable, ApiUnreachable, ApiTimeout)  # errors that every call would meet


class Outage:
    """Detection for one request and one model. Thread-safe.

    Args:
        attempts: of one call.

    Attributes:
        is_certain: whether a call has used up its attempts while every other call under way failed at least once, and
            no attempt has been answered since.

    """

    def __init__(self, attempts: int) -> None:
        self.is_certain = False
        self._attempts = attempts
        self._lock = threading.Lock()
        self._calls = 0  # under way
        self._failures = 0  # attempts since the last answer

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count a call as under way while this block runs."""
        with self._lock:
            self._calls += 1
        try:
            yield
        except OUTAGE:
            with self._lock:
                others = self._calls - 1
                self.is_certain = self.is_certain or self._failures >= self._attempts + others
            raise
        finally:
            with self._lock:
                self._calls -= 1

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count the attempt in this block as answered or failed. Errors of other kinds count as neither."""
        try:
            yield
        except OUTAGE:
            with self._lock:
                self._failures += 1
            raise
        with self._lock:
            self._failures, self.is_certain = 0, False
