"""Which web pages a server without client keys answers: none, or its own.

Browsers send `Origin` with every POST, but not with a GET of the same site. So it does not tell apart a page whose name
an attacker lets resolve to this host (DNS rebinding), and data is served under trusted Host names only.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.sidecar.errors import OriginRefused

HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")  # of a Host header
TRUSTED_SITES = (None, "same-origin", "none")  # Sec-Fetch-Site; `none` is an address that was typed or a bookmark


def refuse_browsers(environ: Mapping[str, Any]) -> None:
    """Raise OriginRefused if a browser sent this request for a page."""
    if "HTTP_ORIGIN" in environ:
        raise OriginRefused("Browser requests are refused unless CEPO_CEREBRAS_CLIENT_KEY is set on the server.")


def refuse_other_pages(environ: Mapping[str, Any]) -> None:
    """Raise OriginRefused if another page than this server's may have sent this request.

    The server's own page is one that was loaded from an IP address or from localhost. Any other name may be one that
    an attacker chose.
    """
    host = str(environ.get("HTTP_HOST", "")).lower()
    if not _is_address(host):
        raise OriginRefused(
            "Open the page by its IP address or as localhost, or set CEPO_CEREBRAS_CLIENT_KEY on the server: other "
            "names are served with a client key only."
        )
    origin = environ.get("HTTP_ORIGIN")
    is_own = origin is None or origin == f"{environ.get('wsgi.url_scheme', 'http')}://{host}"
    if not is_own or environ.get("HTTP_SEC_FETCH_SITE") not in TRUSTED_SITES:
        raise OriginRefused("Requests of other pages are refused unless CEPO_CEREBRAS_CLIENT_KEY is set on the server.")


def _is_address(host: str) -> bool:
    """Return whether a Host header names an IP address or localhost, with or without a port."""
    named = HOST.fullmatch(host)
    if not named:
        return False
    try:
        ipaddress.ip_address(named[1].strip("[]"))
    except ValueError:
        return named[1] == "localhost"
    return True
