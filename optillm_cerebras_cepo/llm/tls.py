"""How the API's TLS certificate is verified, and what is wrong with one that is not accepted."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from optillm_cerebras_cepo.errors import BadConfiguration

# OpenSSL's verification codes (x509_vfy.h). All others concern the authority that signed the certificate.
FAULTS = {9: "is not valid yet", 10: "has expired", 62: "is for another host name", 64: "is for another IP address"}
UNTRUSTED = "is not signed by a trusted authority"


@dataclass(frozen=True)
class Tls:
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
            raise BadConfiguration(f"{name} names a file without a PEM certificate") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "this is no path"
            raise BadConfiguration(f"{name} cannot be read: {reason}") from None


DEFAULT = Tls()


def certificate_fault(error: BaseException) -> str | None:
    """Return what is wrong with the server's certificate; None if the error has another cause."""
    found = [cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)]
    # aiohttp's own subclass of that error carries no code; the error that it was raised from does.
    codes = [cause.verify_code for cause in found if hasattr(cause, "verify_code")]
    return FAULTS.get(codes[0] if codes else 0, UNTRUSTED) if found else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
