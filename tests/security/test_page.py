"""The page of `--page`: which requests of browsers are answered, and that nothing leaves by its paths."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import KEY
from support.waiting import until
from support.wire import Reply, Wire, assert_refused, request

CLIENT_KEYS = ("planted-client-key-one", "sk-planted-client-key-two")
BEARER = f"Bearer {CLIENT_KEYS[0]}"
QUESTION = b'{"messages": [{"role": "user", "content": "a private question"}]}'
TEXT = b'{"text": "**x**"}'
FILES = ["/", "/page/page.css", "/page/page.js", "/page/api.js"]
DATA = ["/page/requests", "/page/requests/0123456789ab", "/page/requests/0123456789ab.html"]
PROTECTION = {
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "cache-control",
}


@pytest.fixture(scope="session")
def paged(start: Callable[..., Any]) -> Any:
    """A sidecar with the page, without client keys."""
    return start("--page")


@pytest.fixture(scope="session")
def locked_page(start: Callable[..., Any]) -> Any:
    """A sidecar with the page and client keys."""
    return start("--page", CEPO_CEREBRAS_CLIENT_KEY=",".join(CLIENT_KEYS))


def host_of(target: Any) -> str:
    """Return the Host header of a browser that opened the page where it is."""
    return str(urlsplit(target.url).netloc)


def refused(reply: Reply, status: int, code: str) -> bool:
    """Return whether a reply is this refusal."""
    return (reply.status, reply.json["error"]["code"]) == (status, code)


def data_requests(**headers: Any) -> list[bytes]:
    """Return a request for everything that is not a file of the page."""
    return [
        request("POST", body=QUESTION, **headers),
        request("POST", "/page/render", TEXT, **headers),
        *(request("GET", path, **headers) for path in [*DATA, "/v1/models", "/metrics"]),
    ]


@pytest.mark.parametrize("path", [*FILES, *DATA, "/page/render"])
def test_without_the_option_there_is_no_page(plain: Any, locked: Any, path: str) -> None:
    """Its paths are like any that do not exist."""
    assert_refused(plain.send(request("GET", path)), 404, "unknown_path")
    assert_refused(locked.send(request("GET", path)), 401, "wrong_client_key")


@pytest.mark.parametrize("path", [*FILES, *DATA, "/page/render"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_every_response_is_protected(paged: Any, locked_page: Any, path: str, method: str) -> None:
    """Files, data, refusals: with the strict policy, and without a way to read them from another site."""
    for target in (paged, locked_page):
        reply = target.send(request(method, path, TEXT if method == "POST" else b"", host=host_of(target)))
        assert reply.headers.keys() >= PROTECTION
        assert not [name for name in reply.headers if name.startswith("access-control") or name == "set-cookie"]
        policy = dict(part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert "unsafe" not in reply.headers["content-security-policy"]
        assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "192.168.1.5", "[fe80::1]"]
)
def test_the_pages_own_requests_are_answered(paged: Any, host: str) -> None:
    """Where it was opened by an address or as localhost."""
    for sent in data_requests(host=host, origin=f"http://{host.lower()}", sec_fetch_site="same-origin"):
        assert paged.send(sent).status in (200, 404)
    for sent in data_requests(host=host):
        assert paged.send(sent).status in (200, 404)


REBOUND = [
    *("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "evil.localhost"),
    *("localhost.", "2130706433", "0x7f.0.0.1", "127.1", "0177.0.0.1", "[::1", "::1", "localhost@evil.example"),
    *("evil.example:80@127.0.0.1", "127.0.0.1@evil.example", "evil.example#127.0.0.1", "", " ", "xn--lcalhost-b4g"),
]


@pytest.mark.parametrize("host", REBOUND)
def test_a_name_that_resolves_to_this_host_is_refused(paged: Any, host: str) -> None:
    """DNS rebinding: the page of an attacker's name is its own origin. It reads nothing, and no call is made."""
    for sent in data_requests(host=host, origin=f"http://{host}"):
        assert refused(paged.send(sent), 403, "origin_refused")
        assert paged.trap.sent == []
    for path in DATA:  # a browser sends no Origin with these, and no Sec-Fetch-Site from such a page
        assert refused(paged.send(request("GET", path, host=host)), 403, "origin_refused")


def test_a_request_without_a_host_reads_nothing(paged: Any) -> None:
    """As HTTP/1.0 allows."""
    assert refused(paged.send(request("GET", "/page/requests", host=None)), 403, "origin_refused")


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "https://{}", "http://{}.evil.example", "http://127.0.0.1:1", "http://127.0.0.1"),
        *(
            "null",
            "file://",
            "",
            "http://{}/",
            "HTTP://{}",
            "http://localhost:{port}",
            "http://evil.example, http://{}",
        ),
    ],
)
def test_other_pages_are_refused(paged: Any, origin: str) -> None:
    """Of another site, another port, another scheme, or of no site."""
    host = host_of(paged)
    for sent in data_requests(host=host, origin=origin.format(host, port=host.partition(":")[2])):
        assert refused(paged.send(sent), 403, "origin_refused")
        assert paged.trap.sent == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "SAME-ORIGIN", "same-origin, cross-site"])
def test_what_the_browser_says_of_the_page_counts(paged: Any, site: str) -> None:
    """Also for a request without an Origin: an image, a script, a link of another site."""
    host = host_of(paged)
    for path in DATA:
        assert refused(paged.send(request("GET", path, host=host, sec_fetch_site=site)), 403, "origin_refused")
    sent = request("POST", body=QUESTION, host=host, origin=f"http://{host}", sec_fetch_site=site)
    assert refused(paged.send(sent), 403, "origin_refused")
    assert paged.trap.sent == []


def test_other_clients_may_use_any_name(paged: Any) -> None:
    """They send no Origin: a backend reaches the sidecar under a name of its network."""
    assert paged.ask(QUESTION, host="gogga-cepo:8080").status == 200


def test_the_files_are_public_and_contain_no_data(paged: Any, locked_page: Any) -> None:
    """Under any name, so that the page can say what is wrong; without a key, so that it can ask for one."""
    for path in FILES:
        texts = [
            target.send(request("GET", path, host="evil.example", origin="http://evil.example")).body
            for target in (paged, locked_page)
        ]
        assert texts[0] == texts[1]
        assert texts[0]


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", f"Bearer {KEY}"])
def test_the_rest_needs_the_client_key(locked_page: Any, authorization: str | None) -> None:
    """Where keys are configured."""
    for sent in data_requests(host=host_of(locked_page), authorization=authorization):
        assert refused(locked_page.send(sent), 401, "wrong_client_key")
        assert locked_page.trap.sent == []


def test_with_a_client_key_any_name_is_served(locked_page: Any) -> None:
    """No browser sends the key by itself, and the page of another name does not have it."""
    headers = {"host": "cepo.example", "origin": "https://cepo.example", "authorization": BEARER}
    for sent in data_requests(**headers):
        assert locked_page.send(sent).status in (200, 404)


def test_no_body_is_read_without_the_key(locked_page: Any) -> None:
    """The refusal comes before the body is sent."""
    with Wire(locked_page.url) as wire:
        head = (
            b"POST /page/render HTTP/1.1\r\nhost: x\r\nauthorization: Bearer wrong\r\ncontent-length: 9000000\r\n\r\n"
        )
        assert refused(wire.send(head).reply(), 401, "wrong_client_key")
        assert wire.rest() == b""


def own(target: Any, method: str, path: str, body: bytes = b"", **headers: Any) -> Reply:
    """Send a request as the page does."""
    return target.send(request(method, path, body, host=host_of(target), **headers))  # type: ignore[no-any-return]


def test_a_text_to_render_is_limited(paged: Any) -> None:
    """In size; and only JSON is taken, which no form of another site can send."""
    assert own(paged, "POST", "/page/render", TEXT).json == {"html": "<p><strong>x</strong></p>\n"}
    large = json.dumps({"text": "x" * 600_000}).encode()
    assert refused(own(paged, "POST", "/page/render", large), 413, "request_too_large")
    for body in (b"", b"{}", b"[]", b"x", b'{"text": 1}', b'{"text": null}', b"[" * 100_000, b"\xff"):
        assert refused(own(paged, "POST", "/page/render", body), 400, "invalid_request")
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert refused(own(paged, "POST", "/page/render", TEXT, content_type=kind), 400, "invalid_request")
    assert own(paged, "POST", "/page/render", b'{"text": "\\ud800"}').status == 200


def test_rendering_does_not_block_the_server(paged: Any) -> None:
    """Of many texts at once, those that find no place are refused; probes and others are answered meanwhile."""
    slow = json.dumps({"text": "|" + "a|" * 100 + "\n|" + "-|" * 100 + "\n" + "|\n" * 100}).encode()
    wires = [Wire(paged.url) for _ in range(12)]
    for wire in wires:
        wire.send(request("POST", "/page/render", slow, host=host_of(paged)))
    assert own(paged, "GET", "/health").status == 200
    statuses = [wire.reply().status for wire in wires]
    for wire in wires:
        wire.close()
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 4


@pytest.mark.parametrize(
    "path",
    [
        *("/page", "/page/", "/page/index.html", "/page/../page/requests", "/page/%2e%2e/serve.py", "/page/render.py"),
        *("/page/requests/", "/page/requests/..", "/page/requests/0123", "/page/requests/0123456789AB", "/page/x.js"),
        *("/page/requests/0123456789ab.json", "/page/requests/0123456789ab/../x", "/page/__init__.py"),
        *("//page/page.js/", "/page/page.js%00", "/page/requests/0123456789ab%0a"),
    ],
)
def test_other_paths_are_not_found(paged: Any, path: str) -> None:
    """No file of the server is among them."""
    assert_refused(own(paged, "GET", path), 404, "unknown_path")


def test_a_stored_trace_has_no_text_and_no_key(locked_page: Any) -> None:
    """The list of requests is the same for every client key; it shows what requests took, not what was in them."""
    assert locked_page.ask(QUESTION, authorization=BEARER).status == 200
    other = f"Bearer {CLIENT_KEYS[1]}"
    until(lambda: locked_page.send(request("GET", "/page/requests", authorization=other)).json["requests"])
    listed = locked_page.send(request("GET", "/page/requests", authorization=other))
    (latest, *_) = listed.json["requests"]
    trace = locked_page.send(request("GET", f"/page/requests/{latest['id']}", authorization=other))
    page = locked_page.send(request("GET", f"/page/requests/{latest['id']}.html", authorization=other))
    assert trace.json["calls"]
    for reply in (listed, trace, page):
        assert reply.status == 200
        assert not re.search(f"private|planted|{KEY}|It is", f"{reply.headers} {reply.body.decode()}")


def test_an_exported_page_is_no_document_of_the_server(paged: Any) -> None:
    """A browser stores it: it has styles of its own, which the policy forbids."""
    paged.ask(QUESTION)
    (latest, *_) = own(paged, "GET", "/page/requests").json["requests"]
    reply = own(paged, "GET", f"/page/requests/{latest['id']}.html")
    assert reply.headers["content-disposition"] == f'attachment; filename="trace-{latest["id"]}.html"'
    assert "<style>" in reply.body.decode()
