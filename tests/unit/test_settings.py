"""Settings: four sources, one declaration, and a clear word for whatever cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from optillm_cerebras_cepo.core.chat import Step
from optillm_cerebras_cepo.core.errors import BadConfiguration, BadRequest
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.settings.loading import OPERATORS, load, misspelt_fields


def test_later_sources_win() -> None:
    """Defaults < OptiLLM's configuration < environment < request."""
    assert load({}, {}, {}).bestofn_n == 3
    assert load({"bestofn_n": 4}, {}, {}).bestofn_n == 4
    assert load({"bestofn_n": 4}, {"CEPO_CEREBRAS_BESTOFN_N": "5"}, {}).bestofn_n == 5
    settings = load({"bestofn_n": 4}, {"CEPO_CEREBRAS_BESTOFN_N": "5"}, {"cepo_cerebras_bestofn_n": 6})
    assert settings.bestofn_n == 6


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_read_from_environment_and_request(name: str, tmp_path: Path) -> None:
    """One declaration serves both: a request can set all but what is the operator's.

    `tests/host/test_pins.py` shows that every field of OptiLLM's CepoConfig is a setting.
    """
    prices = tmp_path / "prices.json"
    prices.write_text("{}")
    other: dict[str, Any] = {
        "model": "a,b",
        "effort": "none",
        "bestofn_rating_type": "majority",
        "use_plan_diversity": True,
        "rating_model": "c",
        "planning_n": 1,
        "planning_m": 9,
        "rate_always": True,
        "auto_window": 3,
        "model_reasoning": "low,final=medium",
        "fit_tokens": False,
        "hedged_calls": False,
        "cache_keys": False,
        "service_tier": "default,rating=flex",
        "queue_threshold": 50,
        "progress": False,
        "usage": "answer",
        "live_trace": "numbers",
        "redis_url": "redis://127.0.0.1",
        "locked": "effort",
        "trace_dir": "traces",
        "trace_text": True,
        "max_cost": 0.5,
        "prices": str(prices),
        "max_bestofn_n": 9,
        "max_planning_m": 9,
    }
    value = other.get(name, 1)
    changed = load({}, {f"CEPO_CEREBRAS_{name.upper()}": str(value)}, {})
    assert getattr(changed, name) != getattr(Settings(), name)
    if name in OPERATORS:
        with pytest.raises(BadRequest, match="set by the operator only"):
            load({}, {}, {f"cepo_cerebras_{name}": value})
    else:
        assert changed == load({}, {}, {f"cepo_cerebras_{name}": value})


def test_a_list_of_models_is_an_order_of_preference() -> None:
    """Commas separate, spaces do not matter."""
    assert load({}, {"CEPO_CEREBRAS_MODEL": "llama3.3-70b, gpt-oss-120b"}, {}).model == ("llama3.3-70b", "gpt-oss-120b")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"CEPO_CEREBRAS_MODLE": "x"}, "CEPO_CEREBRAS_MODLE (did you mean CEPO_CEREBRAS_MODEL?)"),
        ({"CEPO_CEREBRAS_MODEL": "a,,b"}, "CEPO_CEREBRAS_MODEL: must name a model"),
        ({"CEPO_CEREBRAS_BESTOFN_N": "many"}, "CEPO_CEREBRAS_BESTOFN_N: input should be a valid integer"),
        ({"CEPO_CEREBRAS_PLANNING_M": "2"}, "CEPO_CEREBRAS_PLANNING_M: planning_m (2) must be at least planning_n (3)"),
        ({"CEPO_CEREBRAS_PLANNING_MAX_TOKENS_STEP2": "-1"}, "CEPO_CEREBRAS_PLANNING_MAX_TOKENS_STEP2: input should be"),
        ({"CEPO_CEREBRAS_DEADLINE": "0"}, "CEPO_CEREBRAS_DEADLINE: input should be greater than 0"),
    ],
)
def test_an_environment_that_cannot_work_is_the_operators_fault(environ: dict[str, str], message: str) -> None:
    """The message names the variable; the status is the server's (500)."""
    with pytest.raises(BadConfiguration) as caught:
        load({}, environ, {})
    assert message in caught.value.message
    assert caught.value.status == 500


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"cepo_cerebras_efort": "none"}, "cepo_cerebras_efort", "did you mean cepo_cerebras_effort?"),
        ({"cepo_cerebras_planning_m": 1}, "cepo_cerebras_planning_m", "must be at least planning_n (3)"),
        ({"cepo_cerebras_planning_n": 7}, "cepo_cerebras_planning_n", "planning_m (6) must be at least"),
        ({"cepo_cerebras_bestofn_temperature": 3}, "cepo_cerebras_bestofn_temperature", "less than or equal to 2"),
        ({"cepo_cerebras_effort": "huge"}, "cepo_cerebras_effort", "'none', 'low', 'medium', 'high' or 'auto'"),
        ({"cepo_cerebras_bestofn_n": "2"}, "cepo_cerebras_bestofn_n", "must be a number"),
        ({"cepo_cerebras_max_calls": "2"}, "cepo_cerebras_max_calls", "must be a number"),
        ({"cepo_cerebras_max_calls": None}, "cepo_cerebras_max_calls", "must be a number"),
        ({"cepo_cerebras_max_total_tokens": True}, "cepo_cerebras_max_total_tokens", "must be a number"),
        ({"cepo_cerebras_max_total_tokens": 0}, "cepo_cerebras_max_total_tokens", "greater than or equal to 1"),
        ({"cepo_cerebras_deadline": True}, "cepo_cerebras_deadline", "must be a number"),
        ({"cepo_cerebras_progress": "no"}, "cepo_cerebras_progress", "must be true or false"),
        ({"cepo_cerebras_fit_tokens": 0}, "cepo_cerebras_fit_tokens", "must be true or false"),
    ],
)
def test_a_body_that_cannot_work_is_the_clients_fault(body: dict[str, Any], param: str, message: str) -> None:
    """The message names the field, and `param` too; the status is 400."""
    with pytest.raises(BadRequest) as caught:
        load({}, {}, body)
    assert caught.value.param == param
    assert message in caught.value.message
    assert caught.value.status == 400


def test_a_configuration_file_that_cannot_work_is_named() -> None:
    """Fields of OptiLLM's own file are checked too, under their own names."""
    with pytest.raises(BadConfiguration, match="the CePO configuration's bestofn_n: input should be"):
        load({"bestofn_n": 0}, {}, {})
    with pytest.raises(BadConfiguration, match="bestof_n \\(did you mean bestofn_n"):
        load({"bestof_n": 3}, {}, {})


def test_a_value_is_never_repeated_in_a_message() -> None:
    """A wrong value may be a secret that went into the wrong variable."""
    with pytest.raises(BadConfiguration) as caught:
        load({}, {"CEPO_CEREBRAS_DEADLINE": "csk-secret"}, {})
    assert "csk-secret" not in caught.value.message


def test_other_fields_and_variables_are_left_alone() -> None:
    """A body's own fields, and variables of other programs, are no settings."""
    assert load({}, {"PATH": "/bin", "CEPO_OTHER": "x"}, {"temperature": 1, "stream": True}) == Settings()


@pytest.mark.parametrize(
    ("body", "effort"),
    [
        ({}, "medium"),
        ({"reasoning_effort": None}, "medium"),
        ({"reasoning_effort": "minimal"}, "low"),
        ({"reasoning_effort": "low"}, "low"),
        ({"reasoning_effort": "medium"}, "medium"),
        ({"reasoning_effort": "high"}, "high"),
        ({"reasoning_effort": "xhigh"}, "high"),
        ({"reasoning_effort": "none"}, "none"),
        ({"reasoning_effort": "none", "cepo_cerebras_effort": "medium"}, "medium"),
    ],
)
def test_reasoning_effort_steers_the_effort(body: dict[str, Any], effort: str) -> None:
    """A client's reasoning_effort is a wish about the plan; an explicit effort wins."""
    assert load({}, {}, body).effort == effort


def test_settings_are_frozen() -> None:
    """What one request meets never changes another's settings."""
    settings = load({}, {}, {})
    with pytest.raises(ValidationError):
        settings.bestofn_n = 1


def test_each_step_has_its_own_limits() -> None:
    """Seven steps, seven pairs of temperature and token limit."""
    suffixes = ["step0", "step1", "step2", "step3", "step4", "direct_resp"]
    values: dict[str, Any] = {"bestofn_temperature": 0.9, "bestofn_max_tokens": 900}
    for number, suffix in enumerate(suffixes, 1):
        values |= {f"planning_temperature_{suffix}": number / 10, f"planning_max_tokens_{suffix}": number}
    settings = Settings(**values)
    order = [Step.APPROACHES, Step.PLAN, Step.EXECUTE, Step.REVIEW, Step.FINAL, Step.DIRECT]
    assert [settings.limits(step) for step in order] == [(number / 10, number) for number in range(1, 7)]
    assert settings.limits(Step.RATING) == (0.9, 900)


def test_a_reasoning_effort_that_is_none_is_refused() -> None:
    """With the values that there are."""
    with pytest.raises(BadRequest, match="none, low, medium, high, auto, minimal, xhigh, max") as caught:
        load({}, {}, {"reasoning_effort": "huge"})
    assert caught.value.param == "reasoning_effort"


def test_an_effort_changes_what_neither_environment_nor_request_name() -> None:
    """Low is one candidate of two plans, high is five candidates; medium is the configuration as it is."""
    file = {"bestofn_n": 4, "planning_n": 1, "planning_m": 2}
    assert load(file, {}, {}).bestofn_n == 4
    low = load(file, {}, {"cepo_cerebras_effort": "low"})
    assert (low.bestofn_n, low.planning_n, low.planning_m) == (1, 2, 3)
    high = load(file, {"CEPO_CEREBRAS_EFFORT": "high"}, {})
    assert (high.bestofn_n, high.planning_n, high.planning_m) == (5, 3, 6)
    assert load(file, {"CEPO_CEREBRAS_BESTOFN_N": "2"}, {"reasoning_effort": "high"}).bestofn_n == 2
    assert load(file, {}, {"reasoning_effort": "high", "cepo_cerebras_bestofn_n": 7}).bestofn_n == 7


def test_what_concerns_all_requests_is_not_one_requests_to_say() -> None:
    """A client that could name the number of places would take them from the others."""
    with pytest.raises(BadRequest, match="set by the operator only") as caught:
        load({}, {}, {"cepo_cerebras_concurrency": 1000})
    assert caught.value.param == "cepo_cerebras_concurrency"


@pytest.mark.parametrize(("reasoning", "effort"), [("max", "high"), ("auto", "auto"), ("minimal", "low")])
def test_clients_words_for_an_effort(reasoning: str, effort: str) -> None:
    """Each client has its own."""
    assert load({}, {}, {"reasoning_effort": reasoning}).effort == effort


@pytest.mark.parametrize("name", ["effort", "bestofn_n", "Max-Calls", "planning_temperature_step1"])
def test_a_setting_without_its_prefix_is_told(name: str) -> None:
    """It has no effect. The line names the field that has one."""
    (line,) = misspelt_fields({name: 1, "model": "any", "messages": []})
    assert f"cepo_cerebras_{name.lower().replace('-', '_')}" in line


def test_a_reasoning_object_is_told() -> None:
    """Some servers read it."""
    (line,) = misspelt_fields({"reasoning": {"effort": "high"}})
    assert "reasoning_effort" in line


@pytest.mark.parametrize(
    "name", ["cepo_effort", "cepo-cerebras-effort", "CEPO_CEREBRAS_EFFORT", "cerebras_efort", "cepo_cerebraseffort"]
)
def test_what_can_only_be_a_setting_is_refused(name: str) -> None:
    """With the right name."""
    with pytest.raises(BadRequest, match=f"{name} is not a field; did you mean cepo_cerebras_effort") as caught:
        misspelt_fields({name: "high"})
    assert caught.value.param == name


@pytest.mark.parametrize(
    "name",
    [
        *("concurrency", "rpm", "tpm", "redis_url", "locked", "max_bestofn_n", "max_planning_m"),
        *("prices", "trace_dir", "trace_text"),
    ],
)
def test_what_concerns_the_server_is_the_operators(name: str) -> None:
    """A client that could set these would take others' limits, or have files of the server read or written."""
    assert name in OPERATORS
    with pytest.raises(BadRequest, match="set by the operator only"):
        load({}, {}, {f"cepo_cerebras_{name}": "x"})


def test_a_misspelt_field_that_may_be_a_text_is_not_quoted() -> None:
    """The right name stands in its place."""
    with pytest.raises(BadRequest) as caught:
        misspelt_fields({"cepo_cerebras: effort!": 1})
    assert caught.value.param == "cepo_cerebras_effort"
    assert ":" not in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        {
            "model": "x",
            "usage": {"include": True},
            "service_tier": "auto",
            "user": "u",
            "metadata": {},
            "store": True,
            "rpm": 9,
            "locked": "model",
        },
        {"cepo_cerebras_effort": "high", "optillm_approach": "cepo_cerebras", "reasoning": None, "cerebras": 1},
    ],
)
def test_other_fields_are_left_alone(body: dict[str, Any]) -> None:
    """OpenAI's, OptiLLM's, other servers', and ours as they are spelled."""
    assert misspelt_fields(body) == ()


@pytest.mark.parametrize(
    ("base", "environ", "judge"),
    [
        ({}, {}, "auto"),
        ({"rating_model": "ours"}, {}, "ours"),
        ({}, {"CEPO_CEREBRAS_RATING_MODEL": "ours"}, "ours"),
        ({}, {"CEPO_CEREBRAS_LOCKED": "model"}, None),
        ({}, {"CEPO_CEREBRAS_LOCKED": "rating_model"}, None),
    ],
    ids=["default", "configured", "set", "model locked", "judge locked"],
)
def test_another_family_rates_high_efforts(base: dict[str, Any], environ: dict[str, str], judge: str | None) -> None:
    """Unless the operator has chosen the judge, or lets no other model be called."""
    assert load(base, environ, {"cepo_cerebras_effort": "high"}).rating_model == judge
    assert load(base, environ, {}).rating_model == (None if judge == "auto" else judge)
