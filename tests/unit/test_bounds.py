"""Locks and caps: what an operator keeps, no request gets round, and every effort still works."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.errors import BadConfiguration, BadRequest
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.settings.loading import PRESETS, load

COUNTS = st.integers(1, 8)
NUMBERS = ["bestofn_n", "planning_n", "planning_m"]


def refused(environ: dict[str, str], body: dict[str, Any]) -> tuple[str | None, str]:
    """Field and message of a request that is the client's to mend."""
    with pytest.raises(BadRequest) as caught:
        load({}, {f"CEPO_CEREBRAS_{name}": value for name, value in environ.items()}, body)
    assert caught.value.status == 400
    return caught.value.param, caught.value.message


def misconfigured(environ: dict[str, str], base: dict[str, Any] | None = None) -> str:
    """Message for an operator."""
    with pytest.raises(BadConfiguration) as caught:
        load(base or {}, {f"CEPO_CEREBRAS_{name}": value for name, value in environ.items()}, {})
    return caught.value.message


@pytest.mark.parametrize("name", ["model", "effort", "deadline", "rating_model"])
def test_a_locked_setting_is_refused_in_a_body(name: str) -> None:
    """Whatever its value; the others are free."""
    field = f"cepo_cerebras_{name}"
    locked = {"LOCKED": f"fit_tokens, {name}"}
    assert refused(locked, {field: None}) == (field, f"{field} is locked by the operator")
    assert load({}, {"CEPO_CEREBRAS_LOCKED": f"fit_tokens, {name}"}, {"cepo_cerebras_bestofn_n": 2}).bestofn_n == 2


@pytest.mark.parametrize("value", ["high", "huge", 5])
def test_a_clients_reasoning_effort_is_ignored_where_the_effort_is_locked(value: object) -> None:
    """Clients send it by default, so it is no reason to refuse them."""
    environ = {"CEPO_CEREBRAS_LOCKED": "effort", "CEPO_CEREBRAS_EFFORT": "low"}
    settings = load({}, environ, {"reasoning_effort": value})
    assert (settings.effort, settings.bestofn_n) == ("low", 1)


def test_an_effort_changes_no_locked_number() -> None:
    """It stays as the operator's own effort has it, and the plans with their attempts."""
    environ = {"CEPO_CEREBRAS_LOCKED": "bestofn_n,planning_m", "CEPO_CEREBRAS_EFFORT": "high"}
    low = load({}, environ, {"cepo_cerebras_effort": "low"})
    assert (low.effort, low.bestofn_n, low.planning_n, low.planning_m) == ("low", 5, 3, 6)
    assert load({}, environ, {"cepo_cerebras_planning_n": 6}).planning_n == 6


@pytest.mark.parametrize(
    ("locked", "message"),
    [
        ("model,efort", "CEPO_CEREBRAS_LOCKED: name 2 is no setting (did you mean effort?)"),
        ("CEPO_CEREBRAS_MODEL", "CEPO_CEREBRAS_LOCKED: name 1 is no setting (did you mean model?)"),
        ("csk-secret", "CEPO_CEREBRAS_LOCKED: name 1 is no setting"),
        ("", "CEPO_CEREBRAS_LOCKED: name 1 is no setting"),
    ],
)
def test_a_locked_name_that_is_no_setting_is_the_operators_fault(locked: str, message: str) -> None:
    """Told by its place: a wrong value may be a secret."""
    assert misconfigured({"LOCKED": locked}) == message


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("bestofn_n", 5, "bestofn_n (5) is beyond the operator's max_bestofn_n (4)"),
        ("planning_m", 9, "planning_m (9) is beyond the operator's max_planning_m (8)"),
        ("planning_n", 9, "planning_n (9) is beyond the operator's max_planning_m (8)"),
    ],
)
def test_a_request_beyond_a_cap_is_refused(field: str, value: object, message: str) -> None:
    """The message names the cap; up to it all is well."""
    caps = {"MAX_BESTOFN_N": "4", "MAX_PLANNING_M": "8"}
    name = f"cepo_cerebras_{field}"
    assert refused(caps, {name: value, "reasoning_effort": "high"}) == (name, f"{name}: {message}")
    body = {"cepo_cerebras_bestofn_n": 4, "cepo_cerebras_planning_n": 8, "cepo_cerebras_planning_m": 8}
    assert load({}, {f"CEPO_CEREBRAS_{cap}": limit for cap, limit in caps.items()}, body).bestofn_n == 4


def test_a_preset_is_lowered_to_the_caps() -> None:
    """Quietly, whether the operator or the client chose the effort; plans with the attempts."""
    base = {"bestofn_n": 2, "planning_n": 1, "planning_m": 2}
    caps = {"CEPO_CEREBRAS_MAX_BESTOFN_N": "4", "CEPO_CEREBRAS_MAX_PLANNING_M": "2"}
    for high in (
        load(base, caps, {"reasoning_effort": "high"}),
        load(base, caps | {"CEPO_CEREBRAS_EFFORT": "high"}, {}),
    ):
        assert (high.bestofn_n, high.planning_n, high.planning_m) == (4, 2, 2)


def test_a_preset_suits_what_the_environment_says() -> None:
    """Of plans and attempts the one that is given bounds the other."""
    low = load({}, {"CEPO_CEREBRAS_PLANNING_N": "5"}, {"reasoning_effort": "low"})
    assert (low.bestofn_n, low.planning_n, low.planning_m) == (1, 5, 5)
    high = load({"planning_n": 1}, {"CEPO_CEREBRAS_PLANNING_M": "2"}, {"reasoning_effort": "high"})
    assert (high.bestofn_n, high.planning_n, high.planning_m) == (5, 2, 2)


def test_an_operator_beyond_its_own_cap_is_told() -> None:
    """With the variable that was set last, from wherever the number is."""
    assert misconfigured({"MAX_BESTOFN_N": "2"}, {"bestofn_n": 3}) == (
        "CEPO_CEREBRAS_MAX_BESTOFN_N: bestofn_n (3) is beyond the operator's max_bestofn_n (2)"
    )
    assert misconfigured({"MAX_PLANNING_M": "5", "PLANNING_M": "6"}) == (
        "CEPO_CEREBRAS_PLANNING_M: planning_m (6) is beyond the operator's max_planning_m (5)"
    )
    assert misconfigured({"MAX_PLANNING_M": "2", "PLANNING_M": "2"}).startswith("CEPO_CEREBRAS_MAX_PLANNING_M: plann")


@pytest.mark.parametrize("name", ["max_calls", "max_total_tokens", "max_cost"])
def test_a_budget_can_be_lowered_and_not_raised(name: str) -> None:
    """Where the operator gives one; else a request may give itself any."""
    field, environ = f"cepo_cerebras_{name}", {name.upper(): "20"}
    assert refused(environ, {field: 21}) == (field, f"{field}: 21 is more than the operator's 20")
    for allowed in (20, 1):
        assert getattr(load({}, {f"CEPO_CEREBRAS_{name.upper()}": "20"}, {field: allowed}), name) == allowed
    assert getattr(load({}, {}, {field: 21}), name) == 21


@given(
    file=st.fixed_dictionaries(dict.fromkeys(NUMBERS, COUNTS)),
    environ=st.fixed_dictionaries(
        {}, optional={name: COUNTS.map(str) for name in [*NUMBERS, "max_bestofn_n", "max_planning_m"]}
    ),
    locked=st.lists(st.sampled_from(NUMBERS), min_size=1),
    own=st.sampled_from(["low", "medium", "high"]),
    wanted=st.sampled_from(["none", "low", "medium", "high", "auto"]),
)
def test_every_effort_works_within_every_bound(
    file: dict[str, int], environ: dict[str, str], locked: list[str], own: str, wanted: str
) -> None:
    """Where an operator's configuration works at all, no effort of a request breaks it or its bounds."""
    variables = {f"CEPO_CEREBRAS_{name.upper()}": value for name, value in environ.items()}
    variables |= {"CEPO_CEREBRAS_EFFORT": own, "CEPO_CEREBRAS_LOCKED": ",".join(locked)}
    try:
        without = load(file, variables, {})
    except BadConfiguration:
        return
    settings = load(file, variables, {"cepo_cerebras_effort": wanted})
    assert {name: getattr(settings, name) for name in locked} == {name: getattr(without, name) for name in locked}
    assert settings.bestofn_n <= (settings.max_bestofn_n or settings.bestofn_n)
    assert settings.planning_n <= settings.planning_m <= (settings.max_planning_m or settings.planning_m)
    assert {name: getattr(settings, name) for name in environ} == {name: int(value) for name, value in environ.items()}


def test_every_preset_has_both_or_neither_of_plans_and_attempts() -> None:
    """As `bounds.within` takes it, and only names that are settings."""
    for preset in PRESETS.values():
        assert preset.keys() <= Settings.model_fields.keys()
        assert ("planning_n" in preset) == ("planning_m" in preset)
