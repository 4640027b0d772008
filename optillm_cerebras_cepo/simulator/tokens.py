"""Deterministic token counts: one token for four characters. Needs no tokenizer, so nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence

from .schema import ChatCompletionServerRequest, Message, TextPart

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
TOKENS_PER_PROMPT = 3


def count(text: str) -> int:
    """Return the tokens in a text: a quarter of its characters, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def cut(text: str, tokens: int) -> str:
    """Return the first tokens of a text."""
    return text[: max(tokens, 0) * CHARACTERS_PER_TOKEN]


def plain(content: str | Sequence[TextPart] | None) -> str:
    """Return the text of a message's content, a string or a list of parts."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content)


def count_prompt(request: ChatCompletionServerRequest) -> int:
    """Return the input tokens of a request: messages with their overhead, and tools."""
    total = TOKENS_PER_PROMPT + sum(_count_message(message) for message in request.messages)
    return total + sum(count(tool.model_dump_json(exclude_none=True)) for tool in request.tools or ())


def _count_message(message: Message) -> int:
    total = TOKENS_PER_MESSAGE + count(plain(message.content))
    if message.role == "assistant":
        total += count(plain(message.reasoning))
        total += sum(count(call.function.name + call.function.arguments) for call in message.tool_calls or ())
    return total
