"""Keep the providers' clients from one request to the next, one for each set of settings."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Source, assignment, dotted

KEPT = '''
# Clients of providers by their settings, the one that was used last at the end
clients = {}
clients_lock = threading.Lock()
MAX_CLIENTS = 100  # each key that requests bring has one

def create_http_client():
    """
    Create an HTTP client with the configured SSL verification, for the requests of all threads.
    """
    return http_client

def get_client(client_class, **settings):
    """
    Return a provider's client with these settings: made once, then kept with its connections.

    Args:
        client_class: Class of the client
        **settings: What it is made with, apart from the HTTP client
    """
    ssl_settings = (server_config.get('ssl_verify', True), server_config.get('ssl_cert_path', ''))
    key = (client_class, ssl_settings, tuple(sorted(settings.items())))
    with clients_lock:
        client = clients.pop(key, None)
        if client is None:
            client = client_class(**settings, http_client=create_http_client())
            logger.info(f"Created {type(client)} with base_url: {settings.get('base_url', 'default')}")
        clients[key] = client
        if len(clients) > MAX_CLIENTS:
            clients.pop(next(iter(clients)))  # a request that still uses it keeps it until its end
    return client
'''

LIMITS = """
# Requests share it: as many connections as they need, and those that are idle are kept for the next
limits = httpx.Limits(max_keepalive_connections=100)
"""

PROVIDERS = m.Name("Cerebras") | m.Name("OpenAI") | m.Name("AzureOpenAI")
SHARED = m.Arg(keyword=m.Name("http_client"), value=m.Name("http_client"))


def change(checkout: Checkout) -> None:
    """Edit optillm/server.py, and what its tests of the SSL settings expect of an HTTP client."""
    source = checkout.source("optillm/server.py")
    (threads,) = source.statements("import threading")
    source.edit("", m.SimpleStatementLine([m.Import([m.ImportAlias(m.Name("secrets"))])]), lambda line: [line, threads])
    limited(source, "get_config", "httpx.Client", "limits=limits")
    moved = _taken(
        source,
        m.SimpleStatementLine([m.Import([m.ImportAlias(m.Name("httpx"))])]),
        assignment("ssl_verify"),
        assignment("ssl_cert_path"),
        m.If(test=m.UnaryOperation(m.Not(), m.Name("ssl_verify"))),
    )
    source.edit("get_config", assignment("API_KEY", m.Name("None")), lambda line: line.with_changes(leading_lines=()))
    # A token provider is another one each time: such a client cannot be told from the next.
    source.edit(
        "get_config",
        m.Call(PROVIDERS, [m.ZeroOrMore(), m.Arg(keyword=m.Name("azure_ad_token_provider")), m.ZeroOrMore(), SHARED]),
        lambda made: made.with_changes(
            args=[*made.args[:-1], made.args[-1].with_changes(value=source.expression("create_http_client()"))]
        ),
    )
    source.edit("get_config", m.Call(PROVIDERS, [m.ZeroOrMore(), SHARED]), _kept, times=5)
    # They are created elsewhere, and said to be.
    created = m.Call(dotted("logger.info"), [m.Arg(_says("Created OpenAI client"))])
    source.edit("get_config", m.SimpleStatementLine([m.Expr(created)]), lambda _: [], times=2)
    source.edit("proxy", m.Call(m.Name("OpenAI")), _kept, times=2)
    source.insert_before("get_config", KEPT)
    source.edit(
        "create_http_client",
        m.SimpleStatementLine([m.Return(m.Name("http_client"))]),
        lambda line: [moved[0], *source.statements(LIMITS), *moved[1:], line.with_changes(leading_lines=[BLANK])],
    )
    tests = checkout.source("tests/test_ssl_config.py")
    limited(tests, "TestHTTPClientSSLConfiguration", "mock_httpx_client.assert_called_once_with", "limits=ANY")
    tests.add_import("unittest.mock", "ANY")


BLANK = cst.EmptyLine(indent=False)


def limited(source: Source, place: str, name: str, argument: str) -> None:
    """Give the three calls of this name that say how to verify one more argument."""
    more = cst.ensure_type(source.expression(f"f({argument})"), cst.Call).args
    verifying = m.Call(dotted(name), [m.Arg(keyword=m.Name("verify"))])
    source.edit(place, verifying, lambda made: made.with_changes(args=[*made.args, *more]), times=3)


def _taken(source: Source, *wanted: m.BaseMatcherNode) -> list[cst.BaseStatement]:
    """Take statements out of get_config and return them."""
    taken: list[cst.BaseStatement] = []
    for where in wanted:
        source.edit("get_config", where, lambda line: taken.append(line) or [])
    return taken


def _kept(made: cst.Call) -> cst.Call:
    """Return the call that keeps what this one makes."""
    settings = [arg for arg in made.args if not m.matches(arg, SHARED)]
    last = made.args[-1]
    settings[-1] = settings[-1].with_changes(comma=last.comma, whitespace_after_arg=last.whitespace_after_arg)
    comma = made.args[0].comma if len(made.args) > 1 else cst.MaybeSentinel.DEFAULT
    return made.with_changes(func=cst.Name("get_client"), args=[cst.Arg(made.func, comma=comma), *settings])


def _says(words: str) -> m.BaseMatcherNode:
    """Match a text, formatted or not, that begins with these words."""
    part = m.FormattedStringText(m.MatchRegex(rf"{words}.*"))
    return m.FormattedString([part, m.ZeroOrMore()]) | m.SimpleString(m.MatchRegex(rf"[\"']{words}.*"))
