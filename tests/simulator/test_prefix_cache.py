"""The cache of prompts' beginnings, and the limit of uncached tokens."""

from __future__ import annotations

from collections.abc import Callable

from conftest import KEY
from support import web

from optillm_cerebras_cepo.simulator import RateLimits, Simulator
from optillm_cerebras_cepo.simulator.prefix_cache import BLOCK_TOKENS
from optillm_cerebras_cepo.simulator.tokens import CHARACTERS_PER_TOKEN

BLOCK = BLOCK_TOKENS * CHARACTERS_PER_TOKEN
MODEL = "gpt-oss-120b"


def cached(api: Simulator, *texts: str, model: str = MODEL) -> int:
    """Ask with these user turns; return the cached tokens of the reply's usage."""
    body = {"model": model, "messages": [{"role": "user", "content": text} for text in texts], "max_tokens": 10}
    reply = web.post(f"{api.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"})
    assert reply.status_code == 200, reply.text
    return int(reply.json()["usage"]["prompt_tokens_details"]["cached_tokens"])


def test_whole_blocks_of_a_known_beginning_are_cached(simulate: Callable[..., Simulator]) -> None:
    """Up to the first difference, and for the same model only."""
    api = simulate(models=(MODEL, "qwen-3.8-27b"))
    assert cached(api, "a" * 3 * BLOCK) == 0
    assert cached(api, "a" * 3 * BLOCK) == 3 * BLOCK_TOKENS
    assert cached(api, "a" * 2 * BLOCK + "b" * BLOCK) == 2 * BLOCK_TOKENS
    assert cached(api, "b" + "a" * 3 * BLOCK) == 0
    assert cached(api, "a" * 3 * BLOCK, model="qwen-3.8-27b") == 0


def test_cached_tokens_do_not_count_as_uncached(simulate: Callable[..., Simulator]) -> None:
    """The same prompt is admitted again, another one of its size is refused, with the limit in its text and headers."""
    api = simulate(models=(MODEL,), limits=RateLimits(uncached_tokens_per_minute=6 * BLOCK_TOKENS))
    prompt = "a" * 5 * BLOCK
    assert [cached(api, prompt) for _ in range(3)] == [0, 5 * BLOCK_TOKENS, 5 * BLOCK_TOKENS]
    body = {"model": MODEL, "messages": [{"role": "user", "content": "b" * 5 * BLOCK}], "max_tokens": 10}
    reply = web.post(f"{api.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {KEY}"})
    assert reply.status_code == 429
    assert reply.json()["message"].startswith("Uncached tokens per minute")
    assert reply.headers["x-ratelimit-limit-uncached-tokens-minute"] == str(6 * BLOCK_TOKENS)
