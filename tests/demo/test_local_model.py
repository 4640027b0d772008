from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from cerebras.cloud.sdk import AuthenticationError, BadRequestError, Cerebras
from support.processes import processes_with

from optillm_cerebras_cepo.demo.local_model import LocalModel, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def local_model() -> Iterator[LocalModel]:
    """Serve the real model; afterwards check that its server has ended."""
    pytest.importorskip("xllamacpp")
    with serving(context=512, parallel=2) as model:
        yield model
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{model.base_url}/health", trust_env=False)


@pytest.fixture(scope="module")
def client(local_model: LocalModel) -> Iterator[Cerebras]:
    """Return a client of the Cerebras SDK for it."""
    with (
        httpx.Client(trust_env=False) as direct,
        Cerebras(
            api_key=local_model.api_key,
            base_url=local_model.base_url,
            max_retries=0,
            warm_tcp_connection=False,
            http_client=direct,
        ) as client,
    ):
        yield client


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")
def test_its_process_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the Cerebras key nor our settings are in its environment."""
    pytest.importorskip("xllamacpp")
    mark = uuid.uuid4().hex
    monkeypatch.setenv("LC_MARK", mark)
    monkeypatch.setenv("CEREBRAS_API_KEY", f"planted-{mark}")
    monkeypatch.setenv("CEPO_CEREBRAS_REDIS_URL", f"redis://:planted-{mark}@host")
    with serving(context=512, parallel=2):
        assert len(processes_with(mark)) == 1
        assert processes_with(f"planted-{mark}") == []


def say(text: str) -> Any:
    """One user message."""
    return [{"role": "user", "content": text}]


def test_lists_its_one_id(client: Cerebras, local_model: LocalModel) -> None:
    """The plugin resolves its pinned model against this list."""
    assert [model.id for model in client.models.list().data] == [local_model.model]


def test_answers_and_counts(client: Cerebras, local_model: LocalModel) -> None:
    """A reply in the API's shape, cut at `max_completion_tokens`, with its usage."""
    reply: Any = client.chat.completions.create(
        model=local_model.model, messages=say("Tell a long story."), max_completion_tokens=12, temperature=0.0
    )
    assert reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "length"
    assert reply.model == local_model.model
    assert reply.usage.completion_tokens == 12
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + 12


def test_answers_to_one_question_differ(client: Cerebras, local_model: LocalModel) -> None:
    """No seed is set, so candidates of one request can differ."""

    def ask(_: int) -> str | None:
        reply: Any = client.chat.completions.create(
            model=local_model.model, messages=say("Invent a name."), max_completion_tokens=16, temperature=1.5
        )
        text: str | None = reply.choices[0].message.content
        return text

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) > 1


def test_refuses_an_over_long_prompt(client: Cerebras, local_model: LocalModel) -> None:
    """Each request has the whole `context`, however many run at once."""
    with pytest.raises(BadRequestError, match="exceeds the available context size"):
        client.chat.completions.create(model=local_model.model, messages=say("word " * 600), max_completion_tokens=5)
    client.chat.completions.create(model=local_model.model, messages=say("word " * 400), max_completion_tokens=5)


def test_requires_its_key(local_model: LocalModel, client: Cerebras) -> None:
    """Another key gets 401."""
    with pytest.raises(AuthenticationError):
        client.copy(api_key="another").chat.completions.create(
            model=local_model.model, messages=say("Hello"), max_completion_tokens=5
        )


def test_a_file_that_is_not_a_model_is_reported() -> None:
    """Exit status 1, no traceback."""
    pytest.importorskip("xllamacpp")
    command = [sys.executable, "-m", "optillm_cerebras_cepo.demo.local_model", __file__, "0", "512", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
        assert process.wait(60) == 1
