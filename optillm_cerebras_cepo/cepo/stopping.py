"""When further samples can no longer change the choice: published rules over counts of equal answers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb


def unanimous(counts: Sequence[int]) -> bool:
    """Early-stopping self-consistency (Li et al., ICLR 2024, arXiv 2401.10480): all samples of a window are equal.

    Args:
        counts: sizes of the groups of equal answers among the window's samples.

    """
    return len([count for count in counts if count]) == 1


def confidence(counts: Sequence[int]) -> float:
    """Adaptive-Consistency's Beta criterion (Aggarwal et al., EMNLP 2023, arXiv 2305.11860).

    The probability, 0 to 1, that the leading answer stays ahead of the next one: of a Beta(v1 + 1, v2 + 1) that lies
    above one half, v1 and v2 being the two largest counts. For whole counts that is a sum of binomials.
    """
    first, second = (*sorted(counts, reverse=True), 0, 0)[:2]
    tosses = first + second + 1
    return float(sum(comb(tosses, heads) for heads in range(first + 1)) / 2**tosses)


def decided(counts: Sequence[int], left: int) -> bool:
    """Whether not even `left` further samples could put another answer ahead of the leading one."""
    first, second = (*sorted(counts, reverse=True), 0, 0)[:2]
    return first - second > left
