"""Clients that call a simulated model without HTTP, for OptiLLM's loop and for ours."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optillm.cepo.cepo as upstream
import yaml

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Usage
from statistical_model.calls import recognize_call
from statistical_model.model import Skills, StatisticalModel

MODEL, OTHER_FAMILY = "llama-3.3-70b", "gpt-oss-120b"


class OpenAiClient:
    """Client for OptiLLM's functions; `kinds` counts the calls by kind."""

    def __init__(self, skills: Skills | None = None) -> None:
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self.kinds: Counter[str] = Counter()
        self._model = StatisticalModel(skills)
        self._lock = threading.Lock()

    def _create(self, *, model: str, messages: Any, max_tokens: int, **_: Any) -> Any:
        call = recognize_call(messages)
        assert call is not None
        with self._lock:
            self.kinds[call.kind.value] += 1
        text, finish_reason, length = self._model.answer(messages, model, max_tokens)
        choice = SimpleNamespace(message=SimpleNamespace(content=text), finish_reason=finish_reason)
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=length))


class DirectClient:
    """Client for our runtime; `steps` counts the calls by the calling step and the recognized kind."""

    def __init__(self, skills: Skills | None = None) -> None:
        self.steps: Counter[tuple[str, str]] = Counter()
        self._model = StatisticalModel(skills)
        self._lock = threading.Lock()

    address = ("http://nowhere", "")

    def list_models(self, _: object = None) -> tuple[str, ...]:
        """Return the ids of a model and of one of another family, with the same skills."""
        return (MODEL, OTHER_FAMILY)

    def complete(self, request: ChatRequest) -> Completion:
        """Answer without HTTP."""
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        call = recognize_call(messages)
        assert call is not None
        with self._lock:
            self.steps[request.label.step.value, call.kind.value] += 1
        text, finish_reason, length = self._model.answer(messages, request.model, request.max_tokens)
        return Completion(request.model, text, finish_reason, Usage(None, length))


def optillm_config(**changes: Any) -> Any:
    """Return OptiLLM's packaged configuration without reasoning, with fewer plans and with these changes."""
    packaged = yaml.safe_load((Path(upstream.__file__).parent / "configs" / "cepo_config.yaml").read_text())
    small = {"use_reasoning": False, "planning_n": 2, "planning_m": 2, "bestofn_n": 2}
    return upstream.CepoConfig(**packaged | small | changes)
