#!/usr/bin/env python3
"""
Tests for the --cepo_* flags: how their values are read, and which are refused
"""

import os
import sys

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from optillm.cepo.cepo import init_cepo_config
from optillm.server import parse_args


@pytest.fixture
def parse(monkeypatch):
    """Parse a command line"""

    def given(*arguments):
        monkeypatch.setattr(sys, "argv", ["optillm", *arguments])
        return vars(parse_args())

    return given


@pytest.mark.parametrize("flag", ["use_reasoning", "use_reasoning_fallback", "use_plan_diversity", "print_output"])
@pytest.mark.parametrize(
    "text, value",
    [
        ("True", True),
        ("true", True),
        ("1", True),
        ("yes", True),
        ("False", False),
        ("false", False),
        ("0", False),
        ("no", False),
        ("", False),
    ],
)
def test_boolean_is_read_by_its_word(parse, flag, text, value):
    assert parse(f"--cepo_{flag}", text)[f"cepo_{flag}"] is value


def test_false_reaches_the_configuration(parse):
    assert init_cepo_config(parse("--cepo_use_reasoning", "False")).use_reasoning is False


@pytest.mark.parametrize("kind", ["absolute", "pairwise", "majority"])
def test_rating_type(parse, kind):
    assert init_cepo_config(parse("--cepo_bestofn_rating_type", kind)).bestofn_rating_type == kind


def test_rating_model(parse):
    assert init_cepo_config(parse("--cepo_rating_model", "judge")).rating_model == "judge"


def test_numbers(parse):
    config = init_cepo_config(parse("--cepo_bestofn_n", "5", "--cepo_planning_temperature_step1", "0.7"))
    assert (config.bestofn_n, config.planning_temperature_step1) == (5, 0.7)


def test_flags_that_are_not_given_leave_the_file_alone(parse):
    given = [name for name, value in parse().items() if name.startswith("cepo_") and value is not None]
    assert given == ["cepo_config_file"]


@pytest.mark.parametrize(
    "flag, text, words",
    [
        ("--cepo_use_reasoning", "maybe", "expected true or false, not 'maybe'"),
        ("--cepo_bestofn_rating_type", "best", "invalid choice: 'best'"),
        ("--cepo_bestofn_n", "many", "invalid int value: 'many'"),
    ],
)
def test_wrong_value_is_refused(parse, capsys, flag, text, words):
    with pytest.raises(SystemExit):
        parse(flag, text)
    assert f"argument {flag}: {words}" in capsys.readouterr().err


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
