"""Statistics of measurements."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def ratio(value: float, base: float) -> str:
    """Return the ratio of two values as text, with two decimals."""
    return f"{value / base:.2f} ×"
