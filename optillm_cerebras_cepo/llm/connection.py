"""Base URL and TLS settings of a connection to the API."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

import httpx

from optillm_cerebras_cepo.core.errors import BadConfiguration

# Often appended to a base URL: the version, which OpenAI's clients expect, or the path of an endpoint.
ENDPOINT = re.compile(r"(/v1(/(chat(/completions)?|completions|models))?|/chat/completions)$")


@lru_cache(maxsize=64)
def normalized(base_url: str, source: str = "--base-url (or CEREBRAS_BASE_URL)") -> str:
    """Return a base URL without a trailing slash, /v1 or the path of an endpoint.

    Raises:
        BadConfiguration: the URL is invalid. The message names its source, the flag or variable, and does not quote the
            URL, because it may contain a password.

    """
    if re.search(r"[\s\x00-\x1f\x7f]", base_url):
        raise BadConfiguration(f"{source} contains a space or a control character.")
    try:
        parts = urlsplit(base_url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        httpx.URL(base_url)
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise BadConfiguration(f"{source} must be a URL with scheme and host, such as https://api.cerebras.ai.")
    if "@" in parts.netloc:
        raise BadConfiguration(f"{source} contains a user name; remove what is before the @.")
    if "?" in base_url or "#" in base_url:
        raise BadConfiguration(f"{source} contains a query or a fragment; remove what follows the path.")
    return f"{parts.scheme}://{parts.netloc}{ENDPOINT.sub('', parts.path.rstrip('/'))}"


# OpenSSL's verification codes (x509_vfy.h). All others are about the authority that signed it.
FAULTS = {9: "is not valid yet", 10: "has expired", 62: "is for another host name", 64: "is for another IP address"}
UNTRUSTED = "is not signed by a trusted authority"


@dataclass(frozen=True)
class TlsSettings:
    """TLS settings of a connection to the API.

    Attributes:
        verify: False accepts any certificate.
        ca_path: a PEM file with the trusted authorities, or a directory of them prepared by `openssl rehash`. Empty for
            the SDK's default: SSL_CERT_FILE, else SSL_CERT_DIR, else the certificates of the package certifi.

    """

    verify: bool = True
    ca_path: str = ""

    def context(self) -> ssl.SSLContext:
        """Return a new context with these settings.

        Raises:
            BadConfiguration: the certificates cannot be loaded.

        """
        name = "--ssl-cert-path (OPTILLM_SSL_CERT_PATH)" if self.ca_path else "SSL_CERT_FILE"
        try:
            if not self.verify or not self.ca_path:
                return httpx.create_ssl_context(verify=self.verify)
            if os.path.isdir(self.ca_path):
                return ssl.create_default_context(capath=self.ca_path)
            return ssl.create_default_context(cafile=self.ca_path)
        except ssl.SSLError:
            raise BadConfiguration(f"{name} names a file without a PEM certificate.") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "invalid path"
            raise BadConfiguration(f"{name} cannot be read: {reason}.") from None


DEFAULT_TLS = TlsSettings()


def certificate_fault(error: BaseException) -> str | None:
    """Return what is wrong with the server's certificate; None if the error has another cause."""
    found = [cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)]
    # aiohttp's subclass of that error has no code; the error that it was raised from has it.
    codes = [cause.verify_code for cause in found if hasattr(cause, "verify_code")]
    return FAULTS.get(codes[0] if codes else 0, UNTRUSTED) if found else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
