from pathlib import Path

import pytest

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.host.responses import WrongClientKey
from optillm_cerebras_cepo.sidecar.admission import ClientKeys
from optillm_cerebras_cepo.sidecar.options import (
    CEREBRAS_KEY,
    CLIENT_KEY,
    check_client_key,
    load_cerebras_key,
    take_client_keys,
)


def test_the_cerebras_key_can_be_in_a_file(tmp_path: Path) -> None:
    """Its line end is removed, and the key is set as CEREBRAS_API_KEY."""
    secret = tmp_path / "key"
    secret.write_text("csk-0123456789abcdef\n")
    environ = {f"{CEREBRAS_KEY}_FILE": str(secret)}
    load_cerebras_key(environ)
    assert environ == {CEREBRAS_KEY: "csk-0123456789abcdef"}


def test_no_cerebras_key_is_not_an_error() -> None:
    """The sidecar starts, and is not ready."""
    environ: dict[str, str] = {}
    load_cerebras_key(environ)
    assert environ == {}


@pytest.mark.parametrize("name", [CEREBRAS_KEY, CLIENT_KEY])
def test_a_key_and_its_file_together_are_refused(name: str, tmp_path: Path) -> None:
    """It would be unclear which one counts."""
    environ = {name: "one", f"{name}_FILE": str(tmp_path / "key")}
    with pytest.raises(BadConfiguration, match=f"^{name} and {name}_FILE are both set"):
        (load_cerebras_key if name == CEREBRAS_KEY else take_client_keys)(environ)


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    """By the variable's name, without the content."""
    with pytest.raises(BadConfiguration, match=r"_FILE cannot be read: No such file or directory\.$"):
        load_cerebras_key({f"{CEREBRAS_KEY}_FILE": str(tmp_path / "none")})
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfiguration, match=r"_FILE cannot be read: not a text file\.$"):
        take_client_keys({f"{CLIENT_KEY}_FILE": str(tmp_path / "bytes")})


def test_several_client_keys(tmp_path: Path) -> None:
    """Separated by commas or lines; the variable is removed."""
    environ = {CLIENT_KEY: "one, two"}
    assert take_client_keys(environ) == ("one", "two")
    assert environ == {}
    (tmp_path / "keys").write_text("one\ntwo\n\n")
    assert take_client_keys({f"{CLIENT_KEY}_FILE": str(tmp_path / "keys")}) == ("one", "two")


@pytest.mark.parametrize("text", ["", " ,\n", "schlüssel", "a\x00b"])
def test_an_empty_or_invalid_secret_is_refused(text: str) -> None:
    """It is a mistake, and must not open the server."""
    with pytest.raises(BadConfiguration, match=f"^{CLIENT_KEY} contains "):
        take_client_keys({CLIENT_KEY: text})


@pytest.mark.parametrize("key", ["schlüssel", " ab", "a b", ""])
def test_a_key_that_no_client_can_send_is_refused(key: str) -> None:
    """OptiLLM's own flag would otherwise lock every client out."""
    with pytest.raises(BadConfiguration, match=r"^--optillm-api-key contains "):
        check_client_key(key, "--optillm-api-key")


@pytest.mark.parametrize("authorization", ["Bearer two", "bearer two", "Bearer  two "])
def test_each_key_is_accepted(authorization: str) -> None:
    """However the scheme is spelled."""
    ClientKeys(["one", "two"]).check("/v1/models", authorization)


@pytest.mark.parametrize(
    "authorization", ["", "two", "Basic two", "Bearer", "Bearer tw", "Bearer two two", "Bearer zwö"]
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/metrics", "/", "/health/", "/HEALTH"])
def test_other_keys_are_refused(path: str, authorization: str) -> None:
    """On any path except those of probes."""
    with pytest.raises(WrongClientKey) as caught:
        ClientKeys(["one", "two"]).check(path, authorization)
    assert "two" not in caught.value.message


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_require_no_key(path: str) -> None:
    """They cannot send one."""
    ClientKeys(["one"]).check(path, "")


def test_without_client_keys_any_key_is_accepted() -> None:
    """OpenAI's clients always send one."""
    ClientKeys([]).check("/v1/chat/completions", "Bearer whatever")
