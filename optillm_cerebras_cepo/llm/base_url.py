"""The API's base URL in the form that the SDK takes: without /v1, which the SDK adds to each path itself."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import urlsplit

import httpx

from optillm_cerebras_cepo.errors import BadConfiguration

NAME = "--base-url (or CEREBRAS_BASE_URL)"
# What is often appended to a base URL: the version that OpenAI's clients want in it, or the path of an endpoint.
ENDPOINT = re.compile(r"(/v1(/(chat(/completions)?|completions|models))?|/chat/completions)$")


@lru_cache(maxsize=64)
def normalized(base_url: str) -> str:
    """Return a base URL without a trailing slash, /v1 or the path of an endpoint.

    Raises:
        BadConfiguration: this is no URL of an API. The message does not quote it: it may hold a password.

    """
    if re.search(r"[\s\x00-\x1f\x7f]", base_url):
        raise BadConfiguration(f"{NAME} has a space or a control character in it")
    try:
        parts = urlsplit(base_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        httpx.URL(base_url)
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise BadConfiguration(f"{NAME} must be a URL with scheme and host, such as https://api.cerebras.ai")
    if "@" in parts.netloc:
        raise BadConfiguration(f"{NAME} has a user name in it; leave out what stands before the @")
    if "?" in base_url or "#" in base_url:
        raise BadConfiguration(f"{NAME} has a query or a fragment in it; leave out what follows the path")
    return f"{parts.scheme}://{parts.netloc}{ENDPOINT.sub('', parts.path.rstrip('/'))}"
