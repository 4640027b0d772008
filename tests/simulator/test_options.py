from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from optillm_cerebras_cepo.simulator import (
    DEFAULT_TEXT,
    DEVELOPER_TIER,
    FREE_TIER,
    UNLIMITED,
    Faults,
    Latency,
    RateLimits,
    Reply,
    Rule,
    SimulatorOptions,
    ToolUse,
    add_arguments,
    load_rules,
    options_from,
)


def parse(*words: str) -> Any:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")  # flag of the command, must not conflict
    parser.add_argument("--port", type=int)
    add_arguments(parser)
    return options_from(parser.parse_args(words))


def test_command_line_defaults() -> None:
    """They are those of SimulatorOptions."""
    assert parse() == SimulatorOptions()


def test_every_flag_sets_its_field(tmp_path: Path) -> None:
    """All flags together."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("- text: hi\n")
    words = (
        "--model llama3.1-8b --model mine=gpt-oss-120b --tier free --key a --key b --limits free --max-in-flight 3 "
        "--latency 0.5 --tokens-per-second 100 --jitter 0.1 --seed 7 --time-scale 60 --validation-status 422 "
        "--slow-share 0.05 --slow-factor 8 --limit-headers requests-day "
        "--fault hang=0.1 --fault 500=0.2"
    )
    assert parse(*words.split(), "--rules", str(rules)) == SimulatorOptions(
        models=("llama3.1-8b", "mine=gpt-oss-120b"),
        tier="free",
        keys=("a", "b"),
        rules=(Rule(text="hi"),),
        limits=FREE_TIER,
        limit_headers="requests-day",
        faults=Faults({"hang": 0.1, "500": 0.2}, seed=7),
        max_in_flight=3,
        latency=Latency(0.5, 100, 0.1, 7, slow_share=0.05, slow_factor=8),
        time_scale=60,
        validation_status=422,
    )


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("off", UNLIMITED),
        ("developer", DEVELOPER_TIER),
        ("requests_per_minute=5, tokens_per_day=1_000", RateLimits(requests_per_minute=5, tokens_per_day=1_000)),
        ("requests_per_minute=300,burst=10", RateLimits(requests_per_minute=300, burst=10)),
    ],
)
def test_limits_are_presets_or_pairs(text: str, limits: Any) -> None:
    """Spaces and underscores are allowed."""
    assert parse("--limits", text).limits == limits


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--limits", "fre"), "unknown limit 'fre'; did you mean 'free'"),
        (("--limits", "requests_per_minut=5"), "did you mean 'requests_per_minute'"),
        (("--limits", "requests_per_minute=many"), "needs a whole number, not 'many'"),
        (("--limits", "requests_per_minute=0"), "at least 1"),
        (("--limits", "burst=10"), "burst must be at most requests_per_minute"),
        (("--fault", "hangs=0.1"), "unknown fault 'hangs'; did you mean 'hang'"),
        (("--fault", "hang=often"), "fault: hang needs a share from 0 to 1, not 'often'"),
        (("--fault", "hang=-0.1"), "the share of hang must be from 0 to 1"),
        (("--fault", "hang=0.6", "--fault", "cut=0.6"), r"must have a sum of at most 1, not 1\.2"),
        (("--limit-headers", "requests-dya"), "unknown window 'requests-dya'; did you mean 'requests-day'"),
        (("--model", "llama3.3-70b"), "knows no model 'llama3.3-70b'; did you mean 'llama-3.3-70b'"),
        (("--time-scale", "0"), "time_scale must be above 0"),
        (("--max-in-flight", "0"), "max_in_flight must be at least 1"),
        (("--jitter", "2"), "jitter must be"),
        (("--slow-share", "2"), "slow_share must be"),
        (("--rules", "/nowhere/rules.json"), "cannot be read"),
    ],
)
def test_mistakes_on_the_command_line(words: str, message: str) -> None:
    """The error names the mistake and suggests a correction."""
    with pytest.raises(ValueError, match=message):
        parse(*words)


@pytest.mark.parametrize("fields", [{"validation_status": 500}, {"tier": "gold"}, {"models": ()}])
def test_invalid_options(fields: dict[str, Any]) -> None:
    """SimulatorOptions checks its values."""
    with pytest.raises(ValueError, match=r"must be|must serve"):
        SimulatorOptions(**fields)


RULES = [
    {"pattern": "^a", "text": ["1", "2"], "times": 2, "search_in": "all", "finish_reason": "length", "latency": 1},
    {"model": "gpt-oss-120b", "reasoning": "r", "fault": "close"},
    {"reply": {"status": 503, "body": {"code": "x"}, "headers": {"retry-after": "1"}}},
    {"reply": {"body": "<html>", "content_type": "text/html"}},
    {"tool_calls": [{"name": "f", "arguments": '{"a": 1}'}, {"name": "g"}]},
]


@pytest.mark.parametrize("name", ["rules.json", "rules.yaml"])
def test_rules_come_from_json_and_yaml(tmp_path: Path, name: str) -> None:
    """A list of objects with the fields of Rule."""
    file = tmp_path / name
    file.write_text(json.dumps(RULES))  # JSON is YAML too
    assert load_rules(file) == (
        Rule("^a", text=("1", "2"), times=2, search_in="all", finish_reason="length", latency=1),
        Rule(model="gpt-oss-120b", reasoning="r", fault="close", text=DEFAULT_TEXT),
        Rule(reply=Reply(503, {"code": "x"}, {"retry-after": "1"})),
        Rule(reply=Reply(200, "<html>", content_type="text/html")),
        Rule(tool_calls=(ToolUse("f", '{"a": 1}'), ToolUse("g", "{}"))),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is neither JSON nor YAML"),
        ('"x"', "must be a list of rules, not str"),
        ("[1]", "rule 1: "),
        ('[{}, {"patern": "x"}]', "rule 2, patern: unknown field; did you mean 'pattern'"),
        ('[{"reply": {"stauts": 500}}]', "rule 1, reply.stauts: unknown field; did you mean 'status'"),
        ('[{"times": 0}]', "rule 1: times must be at least 1"),
        ('[{"times": "many"}]', "rule 1, times: "),
        ('[{"pattern": "("}]', "rule 1: pattern is not a regular expression"),
        ('[{"text": []}]', "rule 1: text must not be an empty list"),
        ('[{"latency": -1}]', "rule 1: latency must not be negative"),
        ('[{"fault": "explode"}]', "rule 1, fault: "),
        ('[{"fault": "close", "reply": {}}]', "rule 1: a rule has a reply or a fault, not both"),
        ('[{"reply": {"status": 99}}]', "rule 1, reply: status must be"),
        ('[{"tool_calls": [{"name": "f"}], "reply": {}}]', "rule 1: a rule has a reply or tool_calls, not both"),
        ('[{"tool_calls": [{"nam": "f"}]}]', "rule 1, tool_calls.0.nam: unknown field; did you mean 'name'"),
    ],
)
def test_mistakes_in_a_rules_file(tmp_path: Path, text: str, message: str) -> None:
    """The error names the file, the rule and the field."""
    file = tmp_path / "rules.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"rules\.json: ") as caught:
        load_rules(file)
    assert message in str(caught.value)
