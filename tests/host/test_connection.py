"""OptiLLM's flags for the API's base URL and certificates, in OptiLLM's real application."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optillm.server as server
import pytest
from aiohttp import web
from support.certificates import Authority, Https, authority, https
from support.gateway import background
from support.waiting import PATIENCE

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.host import configuration, routing
from optillm_cerebras_cepo.llm.connection import TlsSettings
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.simulator.server import Simulator

MAIN = """
import json, sys
import optillm.server as server
config = server.server_config
server.app.run = lambda **_: print(json.dumps([config["ssl_verify"], config["ssl_cert_path"]]))
sys.argv[0] = "optillm"
server.main()
"""


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority that is not trusted."""
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(ca: Authority, simulate: Callable[..., Simulator]) -> Iterator[Https]:
    """A simulated API behind HTTPS, with a certificate of that authority."""
    with https(simulate().url, ca.issue("server")) as front:
        yield front


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start from OptiLLM's defaults."""
    for name, value in {"ssl_verify": True, "ssl_cert_path": "", "base_url": ""}.items():
        monkeypatch.setitem(server.server_config, name, value)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        ([], {}, [True, ""]),
        (["--no-ssl-verify"], {}, [False, ""]),
        (["--ssl-cert-path", "{pem}"], {}, [True, "{pem}"]),
        ([], {"OPTILLM_SSL_VERIFY": "false", "OPTILLM_SSL_CERT_PATH": "{pem}"}, [False, "{pem}"]),
    ],
)
def test_optillm_stores_its_tls_flags_in_server_config(
    ca: Authority, arguments: list[str], environ: dict[str, str], expected: list[Any]
) -> None:
    """Under the two names that the adapter reads."""
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *(argument.format(pem=ca.pem) for argument in arguments)],
        env=os.environ | {name: value.format(pem=ca.pem) for name, value in environ.items()},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [
        part.format(pem=ca.pem) if isinstance(part, str) else part for part in expected
    ]


def test_an_untrusted_certificate_is_an_error_of_its_own(serve: Any, secure: Https) -> None:
    """502 with its own code, the flag that helps, and no retry."""
    response = serve(secure.url)()
    assert (response.status_code, response.headers["x-should-retry"]) == (502, "false")
    error = response.get_json()["error"]
    assert error["code"] == "certificate_error"
    assert "--ssl-cert-path" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("settings", [{"ssl_cert_path": "{pem}"}, {"ssl_verify": False}])
def test_tls_flags_are_obeyed(
    serve: Any, secure: Https, ca: Authority, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], stream: bool
) -> None:
    """For the list of models and for each call of a planned request."""
    for name, value in settings.items():
        monkeypatch.setitem(server.server_config, name, value.format(pem=ca.pem) if isinstance(value, str) else value)
    response = serve(secure.url)(stream=stream)
    assert response.status_code == 200
    assert "The simulated answer is 42." in response.get_data(as_text=True)


def test_the_certificate_path_is_ignored_without_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    """OptiLLM does not read the file then either."""
    monkeypatch.setitem(server.server_config, "ssl_verify", False)
    monkeypatch.setitem(server.server_config, "ssl_cert_path", "/nowhere.pem")
    assert configuration.tls_settings() == TlsSettings(verify=False)
    configuration.check_connection()


@pytest.mark.parametrize(
    ("settings", "environ", "words"),
    [
        ({"ssl_cert_path": "/nowhere.pem"}, {}, "--ssl-cert-path"),
        ({"ssl_cert_path": __file__}, {}, "without a PEM certificate"),
        ({}, {"SSL_CERT_FILE": "/nowhere.pem"}, "SSL_CERT_FILE"),
    ],
)
def test_unreadable_certificates_are_a_configuration_error(
    serve: Any,
    simulate: Callable[..., Simulator],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    environ: dict[str, str],
    words: str,
) -> None:
    """500 in one line without the path; OptiLLM alone answers a page of HTML."""
    api = simulate()
    for name, value in settings.items():
        monkeypatch.setitem(server.server_config, name, value)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    response = serve(api.url)()
    assert (response.status_code, response.get_json()["error"]["code"]) == (500, "bad_configuration")
    message = response.get_json()["error"]["message"]
    assert words in message
    assert "nowhere" not in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--ssl-cert-path", "/nowhere.pem"], {}),
        (["--ssl-cert-path=/nowhere.pem"], {}),
        ([], {"OPTILLM_SSL_CERT_PATH": "/nowhere.pem"}),
        ([], {"SSL_CERT_FILE": "/nowhere.pem"}),
    ],
)
def test_unreadable_certificates_are_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], environ: dict[str, str]
) -> None:
    """OptiLLM loads the plugin before it reads its flags."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadConfiguration):
        configuration.check_certificates(arguments)
    configuration.check_certificates(["--no-ssl-verify"])


def test_two_configurations_never_share_a_client(simulate: Callable[..., Simulator], ca: Authority) -> None:
    """Clients are kept by base URL, key and TLS settings."""
    url, key = simulate().url, "csk-x"
    settings = [TlsSettings(), TlsSettings(verify=False), TlsSettings(ca_path=ca.pem)]
    clients = [RUNTIME.client(url, key, one) for one in settings]
    assert len({id(client) for client in clients}) == 3
    assert [RUNTIME.client(f"{url}/v1/", key, one) for one in settings] == clients
    assert RUNTIME.client(url, "csk-y") not in clients


def test_the_client_for_optillms_approaches_follows_the_flags(ca: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sidecar makes a new one when the settings differ."""
    monkeypatch.setenv("CEREBRAS_API_KEY", "csk-x")
    monkeypatch.setitem(server.server_config, "base_url", "http://127.0.0.1:9")
    first = routing._client_and_key()[0]
    assert routing._client_and_key()[0] is first
    monkeypatch.setitem(server.server_config, "ssl_cert_path", ca.pem)
    assert routing._client_and_key()[0] is not first
    routing._client.cache_clear()


def test_a_directory_of_certificates_is_accepted(tmp_path: Path) -> None:
    """Even an empty one: OpenSSL looks for certificates when it needs one."""
    configuration.check_certificates(["--ssl-cert-path", str(tmp_path)])


@pytest.mark.parametrize(
    "url", ["api.cerebras.ai", "http://127.0.0.1:9 ", "http://127.0.0.1:9/v1?x=1", "http://127.0.0.1\n"]
)
def test_an_invalid_base_url_is_a_configuration_error(serve: Any, url: str) -> None:
    """500 in one line, before any connection."""
    response = serve(url)()
    assert (response.status_code, response.get_json()["error"]["code"]) == (500, "bad_configuration")
    assert response.get_json()["error"]["message"].startswith("--base-url")


@pytest.mark.parametrize("ending", ["/v1", "/v1/chat/completions", "/chat/completions/"])
def test_an_endpoints_path_is_removed_from_the_base_url(
    serve: Any, simulate: Callable[..., Simulator], ending: str
) -> None:
    """A planned question is answered with 24 calls to one endpoint."""
    api = simulate()
    response = serve(api.url + ending)()
    assert response.status_code == 200
    assert len(api.chat_calls) == 24


def test_a_server_that_is_not_the_api_is_a_base_url_error(serve: Any) -> None:
    """Its 404 is not taken for a missing model, and one call is made."""
    asked: list[str] = []

    async def missing(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=404, text="<html>Not Found</html>", content_type="text/html")

    with background({("*", "/{path:.*}"): missing}) as url:
        response = serve(url)(cepo_cerebras_effort="none")
    assert (response.status_code, response.headers["x-should-retry"]) == (502, "false")
    error = response.get_json()["error"]
    assert (error["code"], error["param"]) == ("wrong_base_url", None)
    assert "check --base-url" in error["message"]
    assert asked.count("/v1/chat/completions") == 1
