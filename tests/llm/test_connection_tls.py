"""TLS certificates: which are accepted, and the errors for the others. Over real HTTPS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cerebras.cloud import sdk
from conftest import KEY
from support.certificates import Authority, Https, authority, hashed, https
from support.sdk_client import CLIENTS, LOOP, Simulate, request

from optillm_cerebras_cepo.core.errors import ApiUnreachable, BadConfiguration, CertificateError
from optillm_cerebras_cepo.llm.connection import DEFAULT_TLS, TlsSettings
from optillm_cerebras_cepo.llm.sdk import SdkClient, plain_client

Front = Callable[..., Https]
VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def front(ca: Authority, simulate: Simulate) -> Iterator[Front]:
    """Start simulated APIs behind HTTPS, with a certificate for these names."""
    with ExitStack() as running:

        def start(**certificate: object) -> Https:
            return running.enter_context(https(simulate().url, ca.issue("server", **certificate)))  # type: ignore[arg-type]

        yield start


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no variable of the developer's shell name certificates."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def client(url: str, settings: TlsSettings = DEFAULT_TLS) -> SdkClient:
    """A client with these settings."""
    CLIENTS.append(SdkClient(url, KEY, LOOP, settings))
    return CLIENTS[-1]


def use(it: SdkClient) -> None:
    """Ask for the list, for an answer, and for one in pieces."""
    assert it.list_models()
    assert it.complete(request()).text
    assert it.complete(request(listener=lambda _: None)).text


def test_unknown_authority_is_a_certificate_error(front: Front) -> None:
    """It is not a network error, is not retried, and names the flag that helps."""
    api = front()
    calls: tuple[Callable[[SdkClient], object], ...] = (lambda it: it.complete(request()), lambda it: it.list_models())
    for call in calls:
        before = api.connections
        with pytest.raises(CertificateError) as caught:
            call(client(api.url))
        assert api.connections == before + 1
        assert "is not signed by a trusted authority" in caught.value.message
        assert "--ssl-cert-path" in caught.value.message
        assert (caught.value.status, caught.value.code, caught.value.retryable) == (502, "certificate_error", False)


def test_stream_has_the_same_error(front: Front) -> None:
    """It differs from a reply that breaks off."""
    with pytest.raises(CertificateError):
        client(front().url).complete(request(listener=lambda _: None))


def test_authority_in_a_file_is_trusted(front: Front, ca: Authority) -> None:
    """For the list of models, completions and streams."""
    use(client(front().url, TlsSettings(ca_path=ca.pem)))


def test_authority_in_a_directory_is_trusted(front: Front, ca: Authority, tmp_path: Path) -> None:
    """As with OptiLLM's own client."""
    use(client(front().url, TlsSettings(ca_path=hashed(ca, tmp_path))))


def test_any_certificate_is_accepted_without_verification(front: Front) -> None:
    """For the list of models, completions and streams."""
    use(client(front().url, TlsSettings(verify=False)))


def test_plain_client_has_the_same_settings(front: Front, ca: Authority) -> None:
    """The sidecar passes it to OptiLLM's own approaches."""
    api = front()
    for settings in (TlsSettings(ca_path=ca.pem), TlsSettings(verify=False)):
        with plain_client(api.url, KEY, settings) as it:
            assert it.models.list().data
    with plain_client(api.url, KEY).with_options(max_retries=0) as it, pytest.raises(sdk.APIConnectionError):
        it.models.list()


@pytest.mark.parametrize("name", VARIABLES)
def test_environment_variables_work_as_in_the_sdk(
    front: Front, ca: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Our client accepts a certificate exactly if the SDK's default client does."""
    api = front()
    monkeypatch.setenv(name, hashed(ca, tmp_path) if name == "SSL_CERT_DIR" else ca.pem)
    with sdk.Cerebras(api_key=KEY, base_url=api.url, warm_tcp_connection=False, max_retries=0) as default:
        try:
            accepted = bool(default.models.list().data)
        except sdk.APIConnectionError:
            accepted = False
    assert accepted == name.startswith("SSL_CERT_")
    if accepted:
        use(client(api.url))
    else:
        with pytest.raises(CertificateError):
            client(api.url).list_models()


@pytest.mark.parametrize(
    ("certificate", "words"),
    [({"names": "DNS:elsewhere.example"}, "is for another IP address"), ({"days": -1}, "has expired")],
)
def test_error_names_what_is_wrong_with_a_certificate(
    front: Front, ca: Authority, certificate: dict[str, object], words: str
) -> None:
    """An operator who trusts the authority has to fix something else."""
    with pytest.raises(CertificateError, match=words):
        client(front(**certificate).url, TlsSettings(ca_path=ca.pem)).list_models()


def test_error_names_a_wrong_host_name(front: Front, ca: Authority) -> None:
    """The address leads to another server."""
    url = front(names="DNS:elsewhere.example").url.replace("127.0.0.1", "localhost")
    with pytest.raises(CertificateError, match="is for another host name"):
        client(url, TlsSettings(ca_path=ca.pem)).list_models()


def test_server_without_tls_is_not_a_certificate_error(simulate: Simulate) -> None:
    """The address is wrong if an https:// URL leads to an HTTP server."""
    with pytest.raises(ApiUnreachable, match="--base-url"):
        client(simulate().url.replace("http://", "https://"), TlsSettings(verify=False)).list_models()


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read: No such file"), ("no certificate", "without a PEM certificate")]
)
def test_unloadable_certificates_are_a_configuration_error(tmp_path: Path, content: str | None, words: str) -> None:
    """One line with the flag's name and without the path."""
    path = tmp_path / "planted.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadConfiguration, match=words) as caught:
        client("https://127.0.0.1:1", TlsSettings(ca_path=str(path)))
    assert "--ssl-cert-path" in caught.value.message
    assert "planted" not in caught.value.message


def test_variable_without_certificates_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable, not the flag."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    with pytest.raises(BadConfiguration, match=r"^SSL_CERT_FILE cannot be read"):
        client("https://127.0.0.1:1")
