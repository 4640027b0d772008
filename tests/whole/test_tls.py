"""An API whose certificate an unknown authority has signed, behind a real `optillm` and a real sidecar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from conftest import KEY
from support.certificates import Authority, authority, https
from support.optillm_process import Server, optillm
from support.sidecar_process import sidecar
from support.waiting import until
from support.web import get

from optillm_cerebras_cepo.simulator.server import Simulator

ASK = {"model": "llama3.3-70b", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}
Start = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority."""
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def url(ca: Authority) -> Iterator[str]:
    """The API behind HTTPS."""
    with Simulator() as api, https(api.url, ca.issue("server")) as front:
        yield front.url


def stock(url: str, *arguments: str, **environ: str) -> AbstractContextManager[Server]:
    """`optillm` with our approach."""
    given = ["--base-url", url, "--approach", "cepo_cerebras", *arguments]
    return optillm(*given, environ={"CEREBRAS_API_KEY": KEY, "SSL_CERT_FILE": ""} | environ)


def ours(url: str, *arguments: str, **environ: str) -> AbstractContextManager[Server]:
    """`cepo-cerebras serve`."""
    own = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": url, "SSL_CERT_FILE": ""}
    return sidecar(*arguments, environ=own | environ)


@pytest.mark.parametrize("start", [stock, ours])
@pytest.mark.parametrize(
    ("arguments", "environ"),
    [
        (["--ssl-cert-path", "{pem}"], {}),
        (["--no-ssl-verify"], {}),
        ([], {"OPTILLM_SSL_CERT_PATH": "{pem}"}),
        ([], {"OPTILLM_SSL_VERIFY": "false"}),
    ],
)
def test_the_flags_and_variables_are_obeyed(
    url: str, ca: Authority, start: Start, arguments: list[str], environ: dict[str, str]
) -> None:
    """A planned question is answered, and the sidecar is ready."""
    given = [argument.format(pem=ca.pem) for argument in arguments]
    with start(url, *given, **{name: value.format(pem=ca.pem) for name, value in environ.items()}) as server:
        if start is ours:
            until(lambda: ready(server).status_code == 200, otherwise=lambda: ready(server).text)
        reply = server.ask(ASK)
        assert reply.status_code == 200, reply.text
        assert reply.json()["cepo_cerebras"]["calls"] == 24
        warned = "The API's TLS certificate is not verified" in server.log
        assert warned == (start is ours and not ("ssl-cert" in str(arguments) or "CERT_PATH" in str(environ)))


@pytest.mark.parametrize("start", [stock, ours])
def test_without_them_the_certificate_is_named_as_the_problem(url: str, start: Start) -> None:
    """In the reply, and as the reason why the sidecar is not ready."""
    with start(url) as server:
        reply = server.ask(ASK)
        assert (reply.status_code, reply.json()["error"]["code"]) == (502, "certificate_error")
        if start is ours:
            reason: Any = until(lambda: "certificate" in ready(server).text and ready(server).json()["reason"])
            assert "--ssl-cert-path" in reason


def ready(server: Server) -> httpx.Response:
    """What the sidecar says of itself."""
    return get(f"{server.url}/ready")
