"""What measured numbers come to."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def ratio(value: float, of: float) -> str:
    """How many times as much, to two digits after the point."""
    return f"{value / of:.2f} ×"
