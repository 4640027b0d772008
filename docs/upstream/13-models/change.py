"""List a provider's models with the client that also sends the requests, because it knows the path."""

from __future__ import annotations

from checkout import Checkout

CLIENT = r"""\1# The provider's own client, as for completions: what follows the base URL differs
\1if isinstance(default_client, (Cerebras, OpenAI)):
\1    client = default_client
\1else:
\1    \2\n"""


def change(checkout: Checkout) -> None:
    """Edit optillm/server.py."""
    source = checkout.source("optillm/server.py")
    source.sub("proxy_models", r"^( +)(client = OpenAI\(.*\))\n +#.*\n(?= +models_response)", CLIENT)
    # A Cerebras client can list models without a base URL.
    either = r"\1isinstance(default_client, Cerebras) or "
    source.sub("proxy_models", r"(elif )(?=server_config\[.base_url.\]:)", either)
