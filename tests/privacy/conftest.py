"""OptiLLM's real app in this process with a planted key, and what it says to anybody while it is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optillm.server as server
import pytest
from support.planted import BEARER, BODY, KEY, hearing, without_answer

from optillm_cerebras_cepo.simulator.server import Simulator


@dataclass(frozen=True)
class Said:
    """All that one request has led to.

    Attributes:
        status: of the response.
        answer: the text that the client has asked for.
        told: all else of the response: head, error, events of the stream; and the trace.
        logged: every record at every level, but what OptiLLM's server says by itself at DEBUG.
        printed: standard output and error of the process.

    """

    status: int
    answer: str
    told: str
    logged: str
    printed: str


@pytest.fixture
def listen(
    plugins: None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Said]:
    """Ask OptiLLM's app before this API, and hear all that is said meanwhile."""
    monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
    monkeypatch.setenv("CEPO_CEREBRAS_TRACE_DIR", str(tmp_path))

    def ask(api: Simulator, bearer: str = BEARER, **body: Any) -> Said:
        monkeypatch.setitem(server.server_config, "base_url", api.url)
        monkeypatch.setitem(server.server_config, "approach", "cepo_cerebras")
        capfd.readouterr()
        with hearing() as heard:
            response = server.app.test_client().post(
                "/v1/chat/completions", json=BODY | body, headers={"Authorization": f"Bearer {bearer}"}
            )
            text = response.get_data(as_text=True)
        bodies = _bodies(text)
        choices = [choice for one in bodies for choice in one.get("choices", [])]
        answers = [str(choice.get("message", choice.get("delta", {})).get("content") or "") for choice in choices]
        told = "\n".join(json.dumps(without_answer(one)) for one in bodies) if bodies else text
        told += "".join(path.read_text() for path in tmp_path.iterdir())
        printed = capfd.readouterr()
        return Said(
            response.status_code, "".join(answers), f"{response.headers}\n{told}", heard.ours, printed.out + printed.err
        )

    return ask


def _bodies(text: str) -> list[dict[str, Any]]:
    """A JSON body, or the events of a stream; none of anything else."""
    rows = [row.removeprefix("data: ") for row in text.splitlines() if row.startswith("data: ")] or [text]
    try:
        found = [json.loads(row) for row in rows if row != "[DONE]"]
    except ValueError:
        return []
    return found if all(isinstance(body, dict) for body in found) else []
