from pathlib import Path

import pytest

from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.host.refusals import WrongClientKey
from optillm_cerebras_cepo.sidecar.keys import CEREBRAS, CLIENT, ClientKeys, client_keys, read_cerebras_key


def test_the_cerebras_key_from_a_file(tmp_path: Path) -> None:
    """Without the line's end that every editor writes, and put where the rest of the package looks."""
    secret = tmp_path / "key"
    secret.write_text("csk-0123456789abcdef\n")
    environ = {f"{CEREBRAS}_FILE": str(secret)}
    read_cerebras_key(environ)
    assert environ == {CEREBRAS: "csk-0123456789abcdef"}


def test_no_cerebras_key_is_no_error() -> None:
    """The sidecar starts, and is not ready."""
    environ: dict[str, str] = {}
    read_cerebras_key(environ)
    assert environ == {}


@pytest.mark.parametrize("name", [CEREBRAS, CLIENT])
def test_a_key_twice_is_refused(name: str, tmp_path: Path) -> None:
    """Which of the two counts, nobody could tell."""
    environ = {name: "one", f"{name}_FILE": str(tmp_path / "key")}
    with pytest.raises(BadConfiguration, match=f"^{name} and {name}_FILE are both set"):
        (read_cerebras_key if name == CEREBRAS else client_keys)(environ)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    """By the variable, and without its content."""
    with pytest.raises(BadConfiguration, match=r"_FILE cannot be read: No such file or directory$"):
        read_cerebras_key({f"{CEREBRAS}_FILE": str(tmp_path / "none")})
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(BadConfiguration, match=r"_FILE cannot be read: it is no text$"):
        client_keys({f"{CLIENT}_FILE": str(tmp_path / "bytes")})


def test_several_client_keys(tmp_path: Path) -> None:
    """Separated by commas in the variable, by lines in the file; and gone from the environment."""
    environ = {CLIENT: "one, two"}
    assert client_keys(environ) == ("one", "two")
    assert environ == {}
    (tmp_path / "keys").write_text("one\ntwo\n\n")
    assert client_keys({f"{CLIENT}_FILE": str(tmp_path / "keys")}) == ("one", "two")


@pytest.mark.parametrize("text", ["", " ,\n", "schlüssel", "a\x00b"])
def test_an_empty_secret_opens_nothing(text: str) -> None:
    """A variable that is set to no key, or to one that cannot be sent, is a mistake: it stops the start."""
    with pytest.raises(BadConfiguration, match=f"^{CLIENT} has "):
        client_keys({CLIENT: text})


@pytest.mark.parametrize("authorization", ["Bearer two", "bearer two", "Bearer  two "])
def test_each_key_is_let_in(authorization: str) -> None:
    """However the scheme is spelled."""
    ClientKeys(["one", "two"]).check("/v1/models", authorization)


@pytest.mark.parametrize(
    "authorization", ["", "two", "Basic two", "Bearer", "Bearer tw", "Bearer two two", "Bearer zwö"]
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/metrics", "/", "/health/", "/HEALTH"])
def test_anything_else_is_not(path: str, authorization: str) -> None:
    """On any path but those of probes."""
    with pytest.raises(WrongClientKey) as caught:
        ClientKeys(["one", "two"]).check(path, authorization)
    assert "two" not in caught.value.message


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_need_no_key(path: str) -> None:
    """They have none."""
    ClientKeys(["one"]).check(path, "")


def test_without_keys_everybody_is_let_in() -> None:
    """A key that is sent all the same does no harm: OpenAI's clients send one always."""
    ClientKeys([]).check("/v1/chat/completions", "Bearer whatever")
