"""Cache of prompts' beginnings: how many tokens of a prompt an earlier one began with, in whole blocks."""

from __future__ import annotations

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Iterator

from . import tokens
from .schema import ChatCompletionServerRequest

BLOCK_TOKENS = 128
BLOCKS = 100_000  # remembered; the one that was used least lately is forgotten


class PrefixCache:
    """Beginnings of the prompts so far, by model. A real cache forgets after some minutes; this one does not."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[bytes, None] = OrderedDict()

    def cached_tokens(self, model: str, request: ChatCompletionServerRequest) -> int:
        """Return the tokens of the prompt's beginning that an earlier prompt had."""
        known = itertools.takewhile(self._blocks.__contains__, _blocks(model, request))
        return BLOCK_TOKENS * sum(1 for _ in known)

    def add(self, model: str, request: ChatCompletionServerRequest) -> None:
        """Remember a prompt."""
        for block in _blocks(model, request):
            self._blocks[block] = None
            self._blocks.move_to_end(block)
        while len(self._blocks) > BLOCKS:
            self._blocks.popitem(last=False)


def _blocks(model: str, request: ChatCompletionServerRequest) -> Iterator[bytes]:
    """Yield a digest for each whole block of the prompt, which depends on all of the prompt before it."""
    text = "".join(f"<{message.role}>{tokens.plain(message.content)}" for message in request.messages)
    digest, size = hashlib.blake2b(model.encode(), digest_size=16), BLOCK_TOKENS * tokens.CHARACTERS_PER_TOKEN
    for start in range(0, len(text) - size + 1, size):
        digest.update(text[start : start + size].encode(errors="surrogatepass"))
        yield digest.digest()
