"""Give every reply an id, its kind, its time and its whole usage, and leave answers whole that mention a speaker."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Source, assignment, call, within

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


def change(checkout: Checkout) -> None:
    """Add optillm/usage.py, and edit optillm/server.py."""
    checkout.add("optillm/usage.py", USAGE)
    source = checkout.source("optillm/server.py")
    source.add_import("optillm.usage", "UsageCounter")
    # The client is chosen here, by the request's key; what uses it comes after.
    source.edit(
        "proxy",
        m.If(test=within(call("bearer_token.startswith"))),
        lambda node: [node, *source.statements(COUNTED)],
    )
    source.edit("proxy", assignment("response_data", m.Dict()), lambda node: _whole(source, node))
    # An answer is a conversation when it begins as one; words of an answer are no speakers.
    source.edit(
        "tagged_conversation_to_messages.has_conversation_tags",
        m.Return(m.BooleanOperation(operator=m.Or())),
        lambda node: node.with_changes(value=source.expression('text.lstrip().startswith(("User:", "Assistant:"))')),
    )


def _whole(source: Source, line: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
    """Return the reply's dictionary with what it lacks."""
    reply = cst.ensure_type(cst.ensure_type(line.body[0], cst.Assign).value, cst.Dict)
    head = ("'id': f\"chatcmpl-{secrets.token_hex(12)}\"", "'object': 'chat.completion'", "'created': int(time.time())")
    prompt = ("'prompt_tokens': usage.prompt_tokens",)
    total = ("'total_tokens': usage.prompt_tokens + completion_tokens",)
    elements = [*_elements(source, head, reply), *reply.elements]
    (place,) = [number for number, element in enumerate(elements) if m.matches(element, _keyed("'usage'"))]
    usage = cst.ensure_type(elements[place].value, cst.Dict)
    parts = [
        *_elements(source, prompt, usage),
        usage.elements[0],
        *_elements(source, total, usage),
        *usage.elements[1:],
    ]
    elements[place] = elements[place].with_changes(value=usage.with_changes(elements=parts))
    return line.with_deep_changes(reply, elements=elements)  # type: ignore[no-any-return]


def _keyed(name: str) -> m.DictElement:
    return m.DictElement(key=m.SimpleString(name))


def _elements(source: Source, codes: tuple[str, ...], like: cst.Dict) -> list[cst.DictElement]:
    """Return new elements, each on a line of its own as those of a dictionary that is there."""
    new = [cst.ensure_type(source.expression(f"{{{code}}}"), cst.Dict).elements[0] for code in codes]
    return [cst.ensure_type(element, cst.DictElement).with_changes(comma=like.elements[0].comma) for element in new]
