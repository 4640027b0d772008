"""Prices of models, from the table and from the operator's file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.core.prices import Price, prices_in
from optillm_cerebras_cepo.llm.models import price_of
from optillm_cerebras_cepo.settings.loading import load

OWN = {"llama3.3-70b": {"prompt": 1, "completion": 2.5}}


def written(folder: Path, value: Any) -> str:
    """Write a file of prices, and return its path."""
    path = folder / "prices.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


def test_a_cost_is_that_of_prompts_and_replies() -> None:
    """By the million."""
    assert Price(0.85, 1.2).cost(1_000_000, 500_000) == pytest.approx(0.85 + 0.6)


def test_the_operators_price_replaces_that_of_the_table(tmp_path: Path) -> None:
    """However the model is spelled; other models keep theirs, and unknown ones have none."""
    own = prices_in(written(tmp_path, OWN))
    assert price_of("llama-3.3-70b", own) == Price(1, 2.5)
    assert price_of("llama-3.3-70b", {}) == Price(0.85, 1.2)
    assert price_of("llama3.1-8b", own) == Price(0.1, 0.1)
    assert price_of("of-our-own", own) is None


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """Without a restart."""
    path = written(tmp_path, OWN)
    assert prices_in(path)["llama3.3-70b"].prompt == 1
    written(tmp_path, {"llama3.3-70b": {"prompt": 3, "completion": 4}})
    os.utime(path, ns=(1, 1))
    assert prices_in(path)["llama3.3-70b"].prompt == 3


@pytest.mark.parametrize(
    "value",
    [
        "no JSON",
        [],
        {"m": 1},
        {"m": {"prompt": 1}},
        {"m": {"prompt": 1, "completion": -1}},
        {"m": {"prompt": "1", "completion": 1}},
        {"m": {"prompt": True, "completion": 1}},
        '{"m": {"prompt": NaN, "completion": 1}}',
        {"m": {"prompt": 1, "completion": 1, "cached": 1}},
    ],
)
def test_a_file_of_another_form_is_a_wrong_setting(tmp_path: Path, value: Any) -> None:
    """The message shows the form, and quotes nothing."""
    with pytest.raises(BadConfiguration, match="CEPO_CEREBRAS_PRICES: must be a file such as"):
        load({}, {"CEPO_CEREBRAS_PRICES": written(tmp_path, value)}, {})


def test_a_missing_file_is_a_wrong_setting(tmp_path: Path) -> None:
    """With the name of the variable."""
    with pytest.raises(BadConfiguration, match="CEPO_CEREBRAS_PRICES: must be a file that can be read"):
        load({}, {"CEPO_CEREBRAS_PRICES": str(tmp_path / "none.json")}, {})
