"""Reuse the providers' clients across requests, one for each set of settings."""

from __future__ import annotations

from checkout import Checkout

CLIENTS = '''\
# Clients of providers by their settings, the one that was used last at the end
clients = {}
clients_lock = threading.Lock()
MAX_CLIENTS = 100  # each key that requests bring has one

def create_http_client():
    """
    Create an HTTP client with the configured SSL verification, for the requests of all threads.
    """
    import httpx

    # Requests share it: as many connections as they need, and those that are idle are kept for the next
    limits = httpx.Limits(max_keepalive_connections=100)

@    return http_client

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

def get_config():
    API_KEY = None

'''


def change(checkout: Checkout) -> None:
    """Edit optillm/server.py, and the HTTP client that its tests of the SSL settings expect."""
    source = checkout.source("optillm/server.py")
    source.sub("", r"^import secrets\n", r"\g<0>import threading\n")
    source.sub("get_config", r"(httpx\.Client\(verify=\w+)\)", r"\1, limits=limits)", times=3)
    # A token provider is a new object each time, so a client with one cannot be found again.
    own = r"(azure_ad_token_provider=\w+,\s+http_client=)http_client"
    source.sub("get_config", own, r"\1create_http_client()")
    one_line = r"\b(Cerebras|OpenAI)\((.*), http_client=http_client\)"
    source.sub("get_config", one_line, r"get_client(\1, \2)", times=4)
    lines = r"(AzureOpenAI)\((\n +)((?:\w+=\w+,\n +){2}\w+=\w+),\n +http_client=http_client$"
    source.sub("get_config", lines, r"get_client(\2\1,\2\3")
    # `get_client` logs the creation of clients.
    source.remove("get_config", r"logger\.info\(f?.Created OpenAI client", times=2)
    # The statements between these two create the HTTP client; they become a function.
    begin = r"def get_config\(\):\n +import httpx\n\n +API_KEY = None\n\n"
    end = r"    if os\.environ\.get\(.OPTILLM_API_KEY"
    source.sub("", rf"{begin}((?:.*\n)+)(?={end})", lambda match: CLIENTS.replace("@", match[1]))
    source.sub("proxy", r"\bOpenAI\((?=api_key=)", "get_client(OpenAI, ", times=2)

    tests = checkout.source("tests/test_ssl_config.py")
    expected = r"(mock_httpx_client\.assert_called_once_with\(verify=\w+)\)"
    tests.sub("TestHTTPClientSSLConfiguration", expected, r"\1, limits=ANY)", times=3)
    tests.sub("", r"^from unittest\.mock import ", r"\g<0>ANY, ")
