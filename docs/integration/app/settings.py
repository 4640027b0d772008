"""What the backend is told: by environment variables of these names, or by files of these names among the secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SECRETS = Path(os.environ.get("SECRETS_DIR", "/run/secrets"))  # where Docker and Kubernetes put them

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


class Settings(BaseSettings):
    """Every setting. Only CEREBRAS_API_KEY has no default: without it there is nothing to fall back on.

    Attributes:
        cepo_url: the sidecar.
        cepo_client_key: what the sidecar wants of its clients; empty where it wants nothing, and of several the first.
        cerebras_api_key: for direct calls.
        cerebras_base_url: the API, with or without /v1.
        cerebras_model: the pinned model as the API spells it, which the sidecar understands too.
        identity_prompt: the system prompt of every question.
        speed_max_tokens: longest answer of the speed layer.
        direct_max_tokens: longest direct answer to a question of the reasoning layer.
        reasoning_effort: how much CePO does in the reasoning layer; unset: what the sidecar is configured for.
        connect_timeout: seconds until somebody must have picked up.
        speed_timeout: seconds that the speed layer gives the sidecar; a direct call: without a byte.
        reasoning_timeout: seconds to wait for a whole CePO answer; beyond the sidecar's own deadline of 600 s.
        stream_timeout: seconds without a byte in a streamed one, in which the sidecar says something every 5 s.
        ready_seconds: between two looks at the sidecar's /ready.
        ready_timeout: seconds until it must have answered, which says what the sidecar already knows.
        circuit_failures: failures in a row after which the sidecar is left alone.
        circuit_seconds: for how long.

    """

    model_config = SettingsConfigDict(
        frozen=True,
        hide_input_in_errors=True,  # a mistyped key stays out of the log
        env_ignore_empty=True,  # Compose sets what nobody has a value for to nothing
        secrets_dir=SECRETS if SECRETS.is_dir() else None,
    )

    cepo_url: HttpUrl = HttpUrl("http://127.0.0.1:8080")
    cepo_client_key: SecretStr = SecretStr("")
    cerebras_api_key: Annotated[SecretStr, Field(min_length=1)]
    cerebras_base_url: HttpUrl = HttpUrl("https://api.cerebras.ai")
    cerebras_model: str = "llama-3.3-70b"
    identity_prompt: str = "You are a helpful assistant. You say so when you do not know."
    speed_max_tokens: Count = 2000
    direct_max_tokens: Count = 4096
    reasoning_effort: Literal["low", "medium", "high", "auto"] | None = None
    connect_timeout: Seconds = 2
    speed_timeout: Seconds = 20
    reasoning_timeout: Seconds = 620
    stream_timeout: Seconds = 20
    ready_seconds: Seconds = 2
    ready_timeout: Seconds = 2
    circuit_failures: Count = 5
    circuit_seconds: Seconds = 30

    @field_validator("cepo_client_key")
    @classmethod
    def _first(cls, keys: SecretStr) -> SecretStr:
        """One key: the sidecar's own file may have several, by lines or commas."""
        return SecretStr((keys.get_secret_value().replace(",", " ").split() or [""])[0])
