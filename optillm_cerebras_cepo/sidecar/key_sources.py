"""API keys from environment variables or files (Docker secrets). Imported before OptiLLM, which it must not import."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from pathlib import Path

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.core.variables import API_KEY

CEREBRAS_KEY = API_KEY
CLIENT_KEY = "CEPO_CEREBRAS_CLIENT_KEY"


def load_cerebras_key(environ: MutableMapping[str, str]) -> None:
    """Set CEREBRAS_API_KEY from CEREBRAS_API_KEY_FILE, if given. Without a key the server starts, but is not ready.

    Raise BadConfiguration if the file cannot be read, both variables are set, or the value cannot be a key.
    """
    text = _take_secret(CEREBRAS_KEY, environ)
    if text is None:
        return
    if not re.fullmatch(r"[!-~]*", key := text.strip()):  # the SDK's error would quote it
        raise BadConfiguration(f"{CEREBRAS_KEY} contains a character that a key cannot contain, such as a space.")
    environ[CEREBRAS_KEY] = key


def take_client_keys(environ: MutableMapping[str, str]) -> tuple[str, ...]:
    """Remove the clients' keys from the environment and return them. Without any, every client is served.

    Raise BadConfiguration if the file cannot be read, both variables are set, or the value contains no valid key.
    """
    text = _take_secret(CLIENT_KEY, environ)
    environ.pop(CLIENT_KEY, None)
    if text is None:
        return ()
    keys = tuple(key for key in re.split(r"[,\s]+", text) if key)
    if not keys:  # an empty secret is a mistake, and must not open the server to everybody
        raise BadConfiguration(f"{CLIENT_KEY} contains no key; unset it to serve clients without a key.")
    if not all(re.fullmatch(r"[!-~]+", key) for key in keys):
        raise BadConfiguration(f"{CLIENT_KEY} contains a character that no header can contain.")
    return keys


def _take_secret(name: str, environ: MutableMapping[str, str]) -> str | None:
    """Return the value of a variable, or the text of the file that its `_FILE` variable names."""
    path, text = environ.pop(f"{name}_FILE", None), environ.get(name)
    if not path:
        return text
    if text:
        raise BadConfiguration(f"{name} and {name}_FILE are both set; remove one.")
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise BadConfiguration(f"{name}_FILE cannot be read: {reason}.") from None
