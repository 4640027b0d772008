"""Both loops on a simulated model without HTTP, and what each call was taken for."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optillm.cepo.cepo as upstream
import yaml

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Usage
from optillm_cerebras_cepo.simulator import StatisticalModel, Statistics, read_call

MODEL = "llama-3.3-70b"


class OpenAiLike:
    """What OptiLLM's functions take for their client; `kinds` counts the calls."""

    def __init__(self, statistics: Statistics | None = None) -> None:
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self.kinds: Counter[str] = Counter()
        self._model = StatisticalModel(statistics)
        self._lock = threading.Lock()

    def _create(self, *, model: str, messages: Any, max_tokens: int, **_: Any) -> Any:
        asked = read_call(messages)
        assert asked is not None
        with self._lock:
            self.kinds[asked.kind.value] += 1
        text, finish_reason, length = self._model.answer(messages, model, max_tokens)
        choice = SimpleNamespace(message=SimpleNamespace(content=text), finish_reason=finish_reason)
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=length))


class Direct:
    """What our runtime takes for a client; `taken` pairs the step that asked with the kind that was seen."""

    def __init__(self, statistics: Statistics | None = None) -> None:
        self.taken: Counter[tuple[str, str]] = Counter()
        self._model = StatisticalModel(statistics)
        self._lock = threading.Lock()

    address = ("http://nowhere", "")

    def list_models(self, _: object = None) -> tuple[str, ...]:
        """The one model."""
        return (MODEL,)

    def complete(self, request: ChatRequest) -> Completion:
        """Answer without HTTP."""
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        asked = read_call(messages)
        assert asked is not None
        with self._lock:
            self.taken[request.label.step.value, asked.kind.value] += 1
        text, finish_reason, length = self._model.answer(messages, request.model, request.max_tokens)
        return Completion(request.model, text, finish_reason, Usage(None, length))


def optillm_config(**changes: Any) -> Any:
    """OptiLLM's packaged configuration without reasoning, smaller and changed."""
    packaged = yaml.safe_load((Path(upstream.__file__).parent / "configs" / "cepo_config.yaml").read_text())
    small = {"use_reasoning": False, "planning_n": 2, "planning_m": 2, "bestofn_n": 2}
    return upstream.CepoConfig(**packaged | small | changes)
