"""OptiLLM's own CePO configuration: read for our settings, and checked before OptiLLM stumbles over it."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import optillm.server as server
import yaml
from optillm.cepo.cepo import CepoConfig, init_cepo_config

from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.settings import refuse_unknown

NO = ("false", "0", "no", "off")
FIELDS = dataclasses.fields(CepoConfig)


def base() -> Mapping[str, Any]:
    """OptiLLM's CePO configuration by field name: its file, overridden by its flags.

    `optillm.server.cepo_config` exists once `main()` has run; before that the file alone counts.
    """
    config = getattr(server, "cepo_config", None) or init_cepo_config({"cepo_config_file": server.get_config_path()})
    # Its fields are plain; `asdict` would copy each of them in depth, for every request.
    return {**vars(config), **dict.fromkeys(_denied(tuple(sys.argv[1:])), False)}


def check(arguments: Sequence[str]) -> None:
    """Say in one line what OptiLLM's start-up would die of with a trace: a bad `--cepo_config_file`.

    Args:
        arguments: the server's command line.

    Raises:
        BadConfiguration: the file cannot be read, or has an unknown or a missing field.

    """
    path, flags = _given(arguments)
    required = [field.name for field in FIELDS if field.default is dataclasses.MISSING]
    present = _read(path)
    refuse_unknown(
        present,
        [field.name for field in FIELDS],
        path,
        missing=[name for name in required if name not in present and name not in flags],
    )


def _given(arguments: Sequence[str]) -> tuple[str, Mapping[str, str]]:
    """The configuration file of a command line, and its flags for fields, as they are written."""
    parser = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("--cepo_config_file", default=server.get_config_path())
    for field in FIELDS:
        parser.add_argument(f"--cepo_{field.name}", dest=field.name)
    flags = vars(parser.parse_known_args(arguments)[0])
    return flags.pop("cepo_config_file"), flags


@lru_cache(maxsize=1)  # it is asked for with every request
def _denied(arguments: tuple[str, ...]) -> frozenset[str]:
    """The boolean flags that say no: OptiLLM takes each text for true that is not empty."""
    # OptiLLM's defect: false_is_read_as_true
    _, flags = _given(arguments)
    return frozenset(field.name for field in FIELDS if field.type is bool and flags.get(field.name, "").lower() in NO)


def _read(path: str) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise BadConfiguration(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise BadConfiguration(f"{path} is no YAML file") from None
    if not isinstance(content, dict):
        raise BadConfiguration(f"{path} holds no fields; each line is to read `name: value`")
    return content
