"""When the sidecar is left alone for a while.

circuitbreaker, for it knows asyncio, takes a function for what is a failure, and reads a clock that nobody sets. It is
the most used of its kind there; pybreaker knows Tornado only, aiobreaker has rested since 2021, and purgatory, which is
newer, reads the wall clock and is little used.
"""

from __future__ import annotations

from types import TracebackType

from circuitbreaker import CircuitBreaker  # type: ignore[import-untyped]

from app.failures import Failed


class Circuit(CircuitBreaker):  # type: ignore[misc]
    """Opens after so many outages in a row; after so many seconds, the next question tries again.

    Args:
        failures: how many.
        seconds: how long.

    """

    def __init__(self, failures: int, seconds: float) -> None:
        super().__init__(failures, seconds, lambda _, error: isinstance(error, Failed) and error.is_outage, "sidecar")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Count how it ended. A client that left, which cancels the call, says nothing about the sidecar."""
        if kind is not None and not issubclass(kind, Exception):
            return False
        return bool(super().__exit__(kind, error, trace))
