"""Answers without a plan: one call each, and requests that go to the model as they are."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.outcome import Answer, Outcome
from optillm_cerebras_cepo.chat import Completion, Forward, Label, Listener, Message, Step
from optillm_cerebras_cepo.errors import CepoError, NoAnswer


def answer_directly(asker: Asker, listener: Listener | None = None) -> Outcome:
    """One call for each answer wanted. A reply cut at the client's own limit is handed on as such."""
    prompts = [Message("user", asker.question.text)]
    return _calls(asker, lambda label: asker.write(label, prompts, {}, listener))


def forward(asker: Asker, request: Forward, listener: Listener | None = None) -> Outcome:
    """Ask with the client's own messages and tools, once for each answer wanted."""
    return _calls(asker, lambda label: asker.forward(label, request, listener))


def _calls(asker: Asker, call: Callable[[Label], Completion]) -> Outcome:
    """So many calls side by side as answers are wanted; one that fails is left out while another lives."""
    wanted = asker.parameters.n
    if wanted == 1:
        return Outcome((_answer(call(Label(Step.DIRECT))),))

    def one(number: int) -> Answer | CepoError:
        try:
            return _answer(call(Label(Step.DIRECT, number)))
        except CepoError as error:
            return error

    with ThreadPoolExecutor(wanted) as threads:
        results = list(threads.map(one, range(1, wanted + 1)))
    answers = tuple(result for result in results if isinstance(result, Answer))
    failures = [result for result in results if isinstance(result, CepoError)]
    final = [failure for failure in failures if failure.discards_answers]
    if final or not answers:
        raise (final or failures)[0]
    for failure in failures:
        asker.degraded.add(f"an answer left out: {failure.message}")
    return Outcome(answers)


def _answer(completion: Completion) -> Answer:
    if not completion.answer and not completion.tool_calls:
        raise NoAnswer("the model gave an empty reply; ask again, or raise max_tokens")
    return Answer(completion.answer, completion.finish_reason or "stop", completion.tool_calls, completion.reasoning)
