"""A deterministic estimate of token counts: four characters make a token. No tokenizer, so nothing to download."""

from __future__ import annotations

from collections.abc import Sequence

from .schema import ChatCompletionServerRequest, Message, TextPart

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
TOKENS_PER_PROMPT = 3


def count(text: str) -> int:
    """The tokens in a text: a quarter of its characters, rounded up."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def cut(text: str, tokens: int) -> str:
    """The first so many tokens of a text."""
    return text[: max(tokens, 0) * CHARACTERS_PER_TOKEN]


def plain(content: str | Sequence[TextPart] | None) -> str:
    """The text of a message's content, whichever form it has."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content)


def count_prompt(request: ChatCompletionServerRequest) -> int:
    """The input tokens of a request: messages with their overhead, and the tools."""
    total = TOKENS_PER_PROMPT + sum(_count_message(message) for message in request.messages)
    return total + sum(count(tool.model_dump_json(exclude_none=True)) for tool in request.tools or ())


def _count_message(message: Message) -> int:
    total = TOKENS_PER_MESSAGE + count(plain(message.content))
    if message.role == "assistant":
        total += count(plain(message.reasoning))
        total += sum(count(call.function.name + call.function.arguments) for call in message.tool_calls or ())
    return total
