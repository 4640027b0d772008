"""The keys: Cerebras' own and the clients', from the environment or from files, as Docker's secrets are."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, MutableMapping
from pathlib import Path

from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.host.refusals import WrongClientKey

CEREBRAS = "CEREBRAS_API_KEY"
CLIENT = "CEPO_CEREBRAS_CLIENT_KEY"
OPEN = frozenset({"/health", "/ready"})  # for probes, which have no key


def read_cerebras_key(environ: MutableMapping[str, str]) -> None:
    """Put the key from CEREBRAS_API_KEY_FILE where the rest of the package reads it. No key is no error: not ready.

    Raises:
        BadConfiguration: the file cannot be read, both are set, or what is set is no key.

    """
    text = _told(CEREBRAS, environ)
    if text is None:
        return
    if not re.fullmatch(r"[!-~]*", key := text.strip()):  # the libraries' errors would show it
        raise BadConfiguration(f"{CEREBRAS} has a character that no key has: a space, or the end of a line")
    environ[CEREBRAS] = key


def client_keys(environ: MutableMapping[str, str]) -> tuple[str, ...]:
    """The keys that clients may send, taken out of the environment; none: whoever reaches the server may ask.

    Raises:
        BadConfiguration: the file cannot be read, both are set, or what is set has no key in it.

    """
    text = _told(CLIENT, environ)
    environ.pop(CLIENT, None)
    if text is None:
        return ()
    keys = tuple(key for key in re.split(r"[,\s]+", text) if key)
    if not keys:  # an empty secret is to lock nobody in by accident, and nobody out
        raise BadConfiguration(f"{CLIENT} has no key in it; unset it to serve clients without a key")
    if not all(re.fullmatch(r"[!-~]+", key) for key in keys):
        raise BadConfiguration(f"{CLIENT} has a character that no header can hold")
    return keys


def _told(name: str, environ: MutableMapping[str, str]) -> str | None:
    """The text of a variable, or of the file that its `_FILE` names."""
    path, text = environ.pop(f"{name}_FILE", None), environ.get(name)
    if not path:
        return text
    if text:
        raise BadConfiguration(f"{name} and {name}_FILE are both set; leave one out")
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadConfiguration(f"{name}_FILE cannot be read: {reason}") from None


class ClientKeys:
    """Checks the key that a request brings."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._keys)

    def check(self, path: str, authorization: str) -> None:
        """Raise WrongClientKey where the path wants a key and this is none. Takes as long whichever key is wrong."""
        if not self._keys or path in OPEN:
            return
        scheme, _, token = authorization.partition(" ")
        brought = token.strip().encode("utf-8", "replace") if scheme.lower() == "bearer" else b""
        if not sum(hmac.compare_digest(brought, key) for key in self._keys):  # a sum: all are compared
            raise WrongClientKey(
                "the key of this request is none that the server knows; send one as `Authorization: Bearer …`"
            )
