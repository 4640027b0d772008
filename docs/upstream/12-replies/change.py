"""Give each reply an id, an object type, a time and complete usage, and do not cut answers at a speaker's name."""

from __future__ import annotations

from checkout import Checkout

USAGE = '''"""
Token usage of a request: what all of its calls to the provider were charged
"""

import copy
import threading
from types import SimpleNamespace


class UsageCounter:
    """
    Counts the tokens of all chat completions that one request makes, from any of its threads
    """

    def __init__(self):
        self._lock = threading.Lock()
        self.prompt_tokens = 0
        self.completion_tokens = 0

    def add(self, response):
        """Count a response of the provider; one without usage, such as a stream, counts for nothing"""
        usage = response.get("usage") if isinstance(response, dict) else getattr(response, "usage", None)
        if usage is None:
            return
        read = usage.get if isinstance(usage, dict) else lambda name: getattr(usage, name, None)
        with self._lock:
            self.prompt_tokens += read("prompt_tokens") or 0
            self.completion_tokens += read("completion_tokens") or 0

    def counted(self, client):
        """
        Return a client like this one whose chat completions are counted

        It is a copy, of the same class and with the same connections: approaches may look at what they are given.
        """
        tracked = copy.copy(client)
        tracked.chat = SimpleNamespace(completions=_CountedCompletions(client.chat.completions, self))
        return tracked


class _CountedCompletions:
    def __init__(self, completions, usage):
        self._completions = completions
        self._usage = usage

    def create(self, *args, **kwargs):
        response = self._completions.create(*args, **kwargs)
        self._usage.add(response)
        return response

    def __getattr__(self, name):
        return getattr(self._completions, name)
'''

COUNTED = """
# What approaches spend is counted, whichever of them asks
usage = UsageCounter()
client = usage.counted(client)
"""

HEAD = r"""\1\2'id': f"chatcmpl-{secrets.token_hex(12)}",
\2'object': 'chat.completion',
\2'created': int(time.time()),
"""

TOKENS = r"""\1'prompt_tokens': usage.prompt_tokens,
\g<0>\1'total_tokens': usage.prompt_tokens + completion_tokens,
"""


def change(checkout: Checkout) -> None:
    """Add optillm/usage.py, and edit optillm/server.py."""
    checkout.add("optillm/usage.py", USAGE)
    source = checkout.source("optillm/server.py")
    imported = r"\g<0>from optillm.usage import UsageCounter\n"
    source.sub("", r"^import optillm\.conversation_logger\n", imported)
    # This statement chooses the client by the request's key.
    source.add_after("proxy", r"if bearer_token .*\.startswith", COUNTED)
    source.sub("proxy", r"(response_data = \{\n)(?=( +))", HEAD)
    source.sub("proxy", r"^( +)'completion_tokens': completion_tokens,\n", TOKENS)
    # A conversation begins with a speaker; an answer may mention one.
    begins = 'return text.lstrip().startswith(("User:", "Assistant:"))'
    source.sub("tagged_conversation_to_messages.has_conversation_tags", "return .*", begins)
