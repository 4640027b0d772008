"""Every error that the package has, wherever it is defined."""

from __future__ import annotations

from collections.abc import Iterator

import optillm_cerebras_cepo.host.responses
import optillm_cerebras_cepo.sidecar.errors  # noqa: F401 -- both have some
from optillm_cerebras_cepo.core.errors import CepoError


def error_kinds() -> list[type[CepoError]]:
    """The root and all below it."""
    return [CepoError, *sorted(_below(CepoError), key=lambda kind: kind.__name__)]


def _below(kind: type[CepoError]) -> Iterator[type[CepoError]]:
    for other in kind.__subclasses__():
        if other.__module__.startswith("optillm_cerebras_cepo."):
            yield other
            yield from _below(other)
