import pytest

from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.sidecar.options import FLAGS, PREFIX, Options, explained, options_from, spelled


def test_defaults() -> None:
    """Nothing said: two approaches, no choosing by message, and OptiLLM's flags untouched."""
    assert options_from(["--n", "1", "--log", "info"], {}) == (Options(), ["--n", "1", "--log", "info"])


def test_flags_come_before_the_environment() -> None:
    """And what neither says stays at its default."""
    environ = {"CEPO_CEREBRAS_MAX_QUEUE": "5", "CEPO_CEREBRAS_GRACE": "7"}
    options, _ = options_from(["--max-queue", "0", "--approaches", "cepo_cerebras, bon"], environ)
    assert (options.max_queue, options.grace, options.approaches) == (0, 7.0, ("cepo_cerebras", "bon"))
    assert options.max_requests == Options().max_requests


def test_our_variables_leave_the_environment() -> None:
    """What stays under our prefix are settings of requests, and an unknown one is refused there."""
    environ = {f"{PREFIX}MAX_BODY": "2", f"{PREFIX}EFFORT": "low"}
    options_from([], environ)
    assert environ == {f"{PREFIX}EFFORT": "low"}


@pytest.mark.parametrize("arguments", [["--choose-by-message"], ["--choose-by-message", "true"]])
def test_a_switch_needs_no_value(arguments: list[str]) -> None:
    """On the command line; it takes none of OptiLLM's flags for its value."""
    options, others = options_from([*arguments, "--port", "1"], {})
    assert (options.choose_by_message, others) == (True, ["--port", "1"])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("approaches", " , "),
        ("choose_by_message", "perhaps"),
        ("max_requests", "0"),
        ("max_requests", "2.5"),
        ("max_queue", "-1"),
        ("max_body", "17"),
        ("max_body", "nan"),
        ("grace", "inf"),
        ("grace", ""),
    ],
)
def test_says_which_value_cannot_be(name: str, value: str) -> None:
    """By the name that it was given under, flag or variable."""
    with pytest.raises(BadConfiguration, match=f"^{spelled(name)} must be "):
        options_from([f"{spelled(name)}={value}"], {})
    with pytest.raises(BadConfiguration, match=f"^{PREFIX}{name.upper()} must be "):
        options_from([], {PREFIX + name.upper(): value})


def test_an_abbreviation_is_optillms() -> None:
    """`--approach` is a flag of OptiLLM's, not ours cut short."""
    assert options_from(["--approach", "none"], {}) == (Options(), ["--approach", "none"])


def test_help_names_every_option() -> None:
    """With its default."""
    text = explained()
    assert [spelled(name) for name in FLAGS if spelled(name) not in text] == []
    assert "(cepo_cerebras,none)" in text
