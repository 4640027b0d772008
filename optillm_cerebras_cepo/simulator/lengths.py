"""How long simulated replies are."""

from __future__ import annotations

import dataclasses
import math
import random
from dataclasses import dataclass

from .asked import Kind

LONGEST = 65_536
"""The most tokens of a reply: more than any model of the table puts out."""


@dataclass(frozen=True)
class Lengths:
    """The mean tokens of each kind of reply, lognormal: long ones are rare and can be very long. Defaults: [assumed].

    `sigma` is the standard deviation of the logarithm; 0 makes every reply of a kind as long as the mean. Raises
    ValueError for a mean outside of 1 to 65,536 or a sigma outside of 0 to 3.
    """

    approaches: float = 200
    plan: float = 400
    execute: float = 400
    review: float = 400
    final: float = 400
    direct: float = 400
    rating: float = 400
    comparison: float = 400
    sigma: float = 0.4

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            least, most = (0, 3) if item.name == "sigma" else (1, LONGEST)
            if not least <= value <= most:
                raise ValueError(f"reply tokens: {item.name} must be from {least} to {most}, not {value}")

    def draw(self, kind: Kind, source: random.Random) -> int:
        """The tokens of one reply of this kind, from 1 to LONGEST."""
        mean = getattr(self, kind.value)
        # exp(mu + sigma²/2) is the mean of a lognormal distribution.
        return min(LONGEST, max(1, round(source.lognormvariate(math.log(mean) - self.sigma**2 / 2, self.sigma))))
