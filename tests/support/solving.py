"""Answer a question through a runtime, with everything else at its default."""

from __future__ import annotations

from typing import Any

from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.chat import Listener, Question
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.events import Observer, ignore
from optillm_cerebras_cepo.llm.metering import CallRecorder
from optillm_cerebras_cepo.llm.sdk import SdkClient
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.session import RequestHooks, RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings


def solve(
    runtime: Runtime,
    question: Question,
    settings: Settings,
    api: SdkClient,
    observer: Observer = ignore,
    *,
    listener: Listener | None = None,
    deadline: Deadline | None = None,
    recorder: CallRecorder | None = None,
    **wanted: Any,
) -> RequestResult:
    """Answer; `wanted` are further fields of the CepoRequest."""
    request = CepoRequest(question, settings, **wanted)
    return runtime.answer(api, request, RequestHooks(observer, listener, recorder), deadline)
