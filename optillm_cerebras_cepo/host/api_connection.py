"""How OptiLLM was told to connect to the API: its base URL and TLS flags, checked before anything uses them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import lru_cache

import optillm.server as server

from optillm_cerebras_cepo.host.launch import API
from optillm_cerebras_cepo.llm.base_url import normalized
from optillm_cerebras_cepo.llm.tls import Tls

YES = ("true", "1", "yes")  # what OptiLLM takes for true in OPTILLM_SSL_VERIFY


def base_url() -> str:
    """Return the base URL as the operator wrote it; the API's own where there is none."""
    return server.server_config["base_url"] or os.environ.get("CEREBRAS_BASE_URL") or API


def tls_settings() -> Tls:
    """Return what OptiLLM's flags and variables say, once its `main()` has read them; the defaults before that."""
    config = server.server_config
    return Tls(bool(config["ssl_verify"]), config["ssl_cert_path"] if config["ssl_verify"] else "")


def check() -> None:
    """Raise BadConfiguration if no client can be made with OptiLLM's base URL and TLS settings.

    OptiLLM makes a client for each request before it calls a plugin, and answers a page of HTML when that fails.
    """
    _check(base_url(), tls_settings(), os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


def check_certificates(arguments: Sequence[str]) -> None:
    """Raise BadConfiguration if a command line or the environment names certificates that cannot be loaded.

    OptiLLM loads its plugins before it reads its flags: `tls_settings` is no help there.

    Args:
        arguments: the server's command line.

    """
    parser = argparse.ArgumentParser(add_help=False)
    standing = os.environ.get("OPTILLM_SSL_VERIFY", "true").lower() in YES
    parser.add_argument("--no-ssl-verify", dest="verify", action="store_false", default=standing)
    parser.add_argument("--ssl-cert-path", dest="ca_path", default=os.environ.get("OPTILLM_SSL_CERT_PATH", ""))
    given, _ = parser.parse_known_args(arguments)
    Tls(given.verify, given.ca_path).context()


@lru_cache(maxsize=8)  # loading certificates takes 30 ms
def _check(url: str, settings: Tls, *_: str | None) -> None:
    """Check these; the other arguments are the variables that the result depends on."""
    normalized(url)
    settings.context()
