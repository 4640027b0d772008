"""Check of the clients' keys."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from optillm_cerebras_cepo.host.responses import WrongClientKey

PROBE_PATHS = frozenset({"/health", "/ready"})  # served without a key


class ClientKeys:
    """The clients' keys; false if there are none."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def check(self, path: str, authorization: str) -> None:
        """Raise WrongClientKey unless the header has one of the keys, or the path needs none. Takes constant time."""
        if not self._keys or path in PROBE_PATHS:
            return
        scheme, _, token = authorization.partition(" ")
        key = token.strip().encode("utf-8", "replace") if scheme.lower() == "bearer" else b""
        if not sum(hmac.compare_digest(key, known) for known in self._keys):  # sum() compares all, any() would not
            raise WrongClientKey("Wrong or missing client key. Send one as `Authorization: Bearer KEY`.")
