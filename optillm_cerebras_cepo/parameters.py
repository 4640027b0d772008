"""What a client asks of its answer, beside the question itself. Read from a request's body in `host/parameters.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Parameters:
    """Fields of a request under OpenAI's names; None, or the default here, where the client says nothing."""

    max_tokens: int | None = None  # of the call that writes the answer, at least 1
    temperature: float | None = None  # 0..2
    top_p: float | None = None  # 0..1
    stop: tuple[str, ...] = field(default=(), repr=False)  # at most 4, none empty
    seed: int | None = None  # of 64 bits, with a sign
    response_format: Mapping[str, Any] | None = field(
        default=None, repr=False
    )  # named, where it has a schema; its type is json_object or json_schema, never text
    user: str | None = field(default=None, repr=False)
    n: int = 1  # answers, 1..8
    frequency_penalty: float | None = None  # -2..2
    presence_penalty: float | None = None  # -2..2
    logit_bias: Mapping[str, float] | None = field(default=None, repr=False)  # -100..100 by token id
    stream: bool = False
    include_usage: bool = False  # a last chunk with the usage; with stream only
    fitted: tuple[str, ...] = ()  # what was dropped of the fields for the API, a line for each kind
