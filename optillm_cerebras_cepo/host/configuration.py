"""What the operator configures through OptiLLM: CePO's fields, the connection to the API, and its key. All are checked.

OptiLLM itself fails on wrong values with a traceback at its start, or with a page of HTML for each request.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import yaml

from optillm_cerebras_cepo.core.environment import API_KEY, BASE_URL, misspelt
from optillm_cerebras_cepo.core.errors import BadConfiguration, MissingKey
from optillm_cerebras_cepo.host import optillm
from optillm_cerebras_cepo.host.optillm import CEPO_FIELDS
from optillm_cerebras_cepo.llm.connection import TlsSettings, normalized
from optillm_cerebras_cepo.settings.loading import refuse_unknown

API = "https://api.cerebras.ai"
FALSE = ("false", "0", "no", "off")
TRUE = ("true", "1", "yes")  # as OptiLLM reads OPTILLM_SSL_VERIFY


def cepo_fields() -> Mapping[str, Any]:
    """Return OptiLLM's CePO configuration by field name: its file, overridden by its flags."""
    return {**optillm.cepo_config(), **dict.fromkeys(_false_flags(tuple(sys.argv[1:])), False)}


def check_cepo_config(arguments: Sequence[str]) -> None:
    """Raise BadConfiguration if the CePO file of a command line cannot be read, or has an unknown or missing field."""
    path, flags = _cepo_flags(arguments)
    fields = _read_yaml(path)
    required = [field.name for field in CEPO_FIELDS if field.default is dataclasses.MISSING]
    missing = [name for name in required if name not in fields and name not in flags]
    refuse_unknown(fields, [field.name for field in CEPO_FIELDS], path, missing=missing)


def _cepo_flags(arguments: Sequence[str]) -> tuple[str, Mapping[str, str]]:
    """Return the path of the CePO file and the `--cepo_<field>` flags of a command line, as unconverted strings."""
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("--cepo_config_file", default=optillm.cepo_config_path())
    for field in CEPO_FIELDS:
        parser.add_argument(f"--cepo_{field.name}", dest=field.name)
    flags = vars(parser.parse_known_args(arguments)[0])
    return flags.pop("cepo_config_file"), flags


@lru_cache(maxsize=1)  # needed for each request
def _false_flags(arguments: tuple[str, ...]) -> frozenset[str]:
    """Return the boolean fields whose flag is false, which OptiLLM reads as true: any non-empty string is."""
    # OptiLLM's defect: false_is_read_as_true
    _, flags = _cepo_flags(arguments)
    booleans = {field.name for field in CEPO_FIELDS if field.type is bool}
    return frozenset(name for name, value in flags.items() if name in booleans and value.lower() in FALSE)


def _read_yaml(path: str) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise BadConfiguration(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise BadConfiguration(f"{path} is not a YAML file") from None
    if not isinstance(content, dict):
        raise BadConfiguration(f"{path} has no fields; write each of them as a line `name: value`")
    return content


def base_url() -> str:
    """Return the API's base URL as the operator wrote it, or the default."""
    return optillm.server_config().base_url or os.environ.get(BASE_URL) or API


def tls_settings() -> TlsSettings:
    """Return the TLS settings of OptiLLM's flags and environment."""
    config = optillm.server_config()
    return TlsSettings(bool(config.ssl_verify), config.ssl_cert_path if config.ssl_verify else "")


def check_connection() -> None:
    """Raise BadConfiguration if no client can be made with the base URL and the TLS settings."""
    source = "--base-url" if optillm.server_config().base_url else BASE_URL
    certificates = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    _check_connection(base_url(), source, tls_settings(), *certificates)


@lru_cache(maxsize=8)  # loading certificates takes 30 ms
def _check_connection(url: str, source: str, settings: TlsSettings, *_: str | None) -> None:
    """Check these; the other arguments are environment variables that change the result."""
    normalized(url, source)
    settings.context()


def check_certificates(arguments: Sequence[str]) -> None:
    """Raise BadConfiguration if a command line or the environment names certificates that cannot be loaded.

    For the start of the plugin: OptiLLM has not read its flags then, so `tls_settings` returns the defaults.
    """
    parser = argparse.ArgumentParser(add_help=False)
    verify = os.environ.get("OPTILLM_SSL_VERIFY", "true").lower() in TRUE
    parser.add_argument("--no-ssl-verify", dest="verify", action="store_false", default=verify)
    parser.add_argument("--ssl-cert-path", dest="ca_path", default=os.environ.get("OPTILLM_SSL_CERT_PATH", ""))
    flags, _ = parser.parse_known_args(arguments)
    TlsSettings(flags.verify, flags.ca_path).context()


def check_no_local_model() -> None:
    """Raise BadConfiguration if OptiLLM's variable for local models is set."""
    if os.environ.get("OPTILLM_API_KEY"):
        raise BadConfiguration(
            "OPTILLM_API_KEY makes OptiLLM serve a local model instead of Cerebras; unset it on the server "
            "(for clients' keys use --optillm-api-key, or CEPO_CEREBRAS_CLIENT_KEY with `cepo-cerebras serve`)"
        )


def cerebras_key() -> str:
    """Return the server's API key; raise MissingKey, or BadConfiguration if no HTTP header can contain it."""
    key = os.environ.get(API_KEY)
    if not key:
        raise MissingKey(
            misspelt(API_KEY, os.environ)
            or "The server has no Cerebras API key; set CEREBRAS_API_KEY in its environment and restart it."
        )
    if not re.fullmatch(r"[!-~]+", key):  # the errors of HTTP libraries would quote the key
        raise BadConfiguration("CEREBRAS_API_KEY contains a character that no key has, such as a space or a line break")
    return key
