import pytest

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.sidecar.options import FLAGS, PREFIX, Options, flag_name, options_from, options_help


def test_defaults() -> None:
    """OptiLLM's flags are returned unchanged."""
    assert options_from(["--n", "1", "--log", "info"], {}) == (Options(), ["--n", "1", "--log", "info"])


def test_flags_override_the_environment() -> None:
    """Options without either have their default."""
    environ = {"CEPO_CEREBRAS_MAX_QUEUE": "5", "CEPO_CEREBRAS_GRACE": "7"}
    options, _ = options_from(["--max-queue", "0", "--approaches", "cepo_cerebras, bon"], environ)
    assert (options.max_queue, options.grace, options.approaches) == (0, 7.0, ("cepo_cerebras", "bon"))
    assert options.max_requests == Options().max_requests


def test_our_variables_are_removed_from_the_environment() -> None:
    """Those that remain are settings of requests."""
    environ = {f"{PREFIX}MAX_BODY": "2", f"{PREFIX}EFFORT": "low"}
    options_from([], environ)
    assert environ == {f"{PREFIX}EFFORT": "low"}


@pytest.mark.parametrize(("arguments", "environ"), [(["--trace-dir", "t"], {}), ([], {f"{PREFIX}TRACE_DIR": "t"})])
def test_the_folder_of_traces_is_a_setting_too(arguments: list[str], environ: dict[str, str]) -> None:
    """The approach reads it from the environment, as with `optillm`."""
    options_from(arguments, environ)
    assert environ == {f"{PREFIX}TRACE_DIR": "t"}


@pytest.mark.parametrize("arguments", [["--choose-by-message"], ["--choose-by-message", "true"]])
def test_a_switch_needs_no_value(arguments: list[str]) -> None:
    """It does not take OptiLLM's next flag as its value."""
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
def test_an_invalid_value_is_reported(name: str, value: str) -> None:
    """With the name of the flag or variable."""
    with pytest.raises(BadConfiguration, match=f"^{flag_name(name)} must be "):
        options_from([f"{flag_name(name)}={value}"], {})
    with pytest.raises(BadConfiguration, match=f"^{PREFIX}{name.upper()} must be "):
        options_from([], {PREFIX + name.upper(): value})


def test_flags_cannot_be_abbreviated() -> None:
    """`--approach` is a flag of OptiLLM."""
    assert options_from(["--approach", "none"], {}) == (Options(), ["--approach", "none"])


def test_help_lists_every_option() -> None:
    """With its default."""
    text = options_help()
    assert [flag_name(name) for name in FLAGS if flag_name(name) not in text] == []
    assert "(default: cepo_cerebras,none)" in text
