"""Defects of OptiLLM's `--cepo_*` flags."""

from __future__ import annotations

import dataclasses

import optillm.server as server
import pytest
from optillm.cepo.cepo import CepoConfig, init_cepo_config
from support.defects import defect


def configured(monkeypatch: pytest.MonkeyPatch, *flags: str) -> CepoConfig:
    """CePO's configuration on a server with these flags."""
    monkeypatch.setattr("sys.argv", ["optillm", *flags])
    return init_cepo_config(vars(server.parse_args()))


@defect
def test_false_is_read_as_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each flag of a boolean that says False is false."""
    names = [field.name for field in dataclasses.fields(CepoConfig) if field.type is bool]
    config = configured(monkeypatch, *(word for name in names for word in (f"--cepo_{name}", "False")))
    assert {name: getattr(config, name) for name in names} == dict.fromkeys(names, False)


@defect
def test_flags_of_ratings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of rating and its model are what their flags say."""
    config = configured(monkeypatch, "--cepo_bestofn_rating_type", "majority", "--cepo_rating_model", "judge")
    assert (config.bestofn_rating_type, config.rating_model) == ("majority", "judge")
