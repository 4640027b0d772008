"""What OptiLLM's functions take for their client.

They reach the model only through `client.chat.completions.create(...)`, and read of its result only the text, the
finish reason and the completion tokens. That one call is where everything of ours comes in. They catch no error of the
Cerebras SDK and crash on missing text, but they know well what to do with a reply that was cut at its token limit: an
attempt is rejected, a review gives way to the first solution, a final answer to the review. So whatever cannot be used
is handed to them as a reply that was cut.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.attempts import Attempts
from optillm_cerebras_cepo.cepo.kinds import LAST_RESORT
from optillm_cerebras_cepo.chat import Completion, Label, Listener, Message, Step
from optillm_cerebras_cepo.errors import CepoError, UnusableReply

# Fields that the step's own settings or the table of models decide. The rest of a call goes on as it is.
DECIDED_BELOW = frozenset({"model", "messages", "max_tokens", "temperature", "stream", "reasoning_effort"})


class Seam:
    """A client for OptiLLM's functions whose every call belongs to one step. An error goes through to the caller."""

    def __init__(self, asker: Asker, label: Label) -> None:
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self._asker = asker
        self._label = label

    def _create(self, **fields: Any) -> SimpleNamespace:
        completion = self._asker.ask(self._label, _prompts(fields), _options(fields))
        return _reply(completion.answer, completion.finish_reason, completion.usage.completion_tokens)


class Heard(Exception):
    """A judge's reply, on its way out of OptiLLM's rater."""

    def __init__(self, text: str) -> None:
        super().__init__("heard")
        self.text = text


class JudgeSeam(Seam):
    """A client for one call of OptiLLM's raters, which ends them with what the model replied.

    Their prompts are what is wanted of them. The absolute one would ask for the same judgement twice, one call after
    the other (cepo.py:754), the pairwise one for the other order next; both read one exact wording only and crash on a
    reply that was cut (cepo.py:774).

    Args:
        asker: the way to the model.
        label: the rating that it belongs to.
        turn: which of the rater's calls is meant, from 0; those before it are answered with nothing, without a call.
        answers: what is judged; of an answer that is too long for the model, the end.

    """

    def __init__(self, asker: Asker, label: Label, turn: int = 0, answers: Sequence[str] = ()) -> None:
        super().__init__(asker, label)
        self._turn = turn
        self._answers = answers

    def _create(self, **fields: Any) -> SimpleNamespace:
        if self._turn:
            self._turn -= 1
            return _reply("", "stop", 0)
        # OptiLLM's defect: a_rating_is_asked_for_twice
        raise Heard(self._asker.ask(self._label, _prompts(fields), _options(fields), self._answers).answer)


class CandidateSeam:
    """A client for one run of `generate_completion`, made on the thread that runs it.

    The step of a call follows from its thread and its shape: plans and their execution run on threads of their own,
    review and final answer follow each other on the candidate's thread, and a direct answer there has no system prompt.
    """

    def __init__(
        self,
        asker: Asker,
        candidate: int,
        review: Callable[[Sequence[str]], bool],
        listen: Callable[[CandidateSeam], Listener | None] = lambda _: None,
    ) -> None:
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self._asker = asker
        self._candidate = candidate
        self._own_thread = threading.get_ident()
        self._needs_review = review
        self._consolidated = False
        self._solutions: list[str] = []
        self._replies: list[str] = []  # what the prompts of later steps hold, as OptiLLM puts it there
        self.reviewed = True
        self.finish_reason = "stop"  # why the answer ends
        self._listen = listen
        self._attempts = Attempts(asker.settings.planning_n)

    def _create(self, **fields: Any) -> SimpleNamespace:
        prompts = _prompts(fields)
        step = self._step(prompts)
        match step:
            case Step.PLAN:
                return self._begin(step, prompts, fields)
            # OptiLLM's defect: a_rejected_plan_is_executed
            case Step.EXECUTE if Message("assistant", "") in prompts:
                return CUT  # there is no plan to execute (OptiLLM would send null content, cepo.py:410)
            case Step.EXECUTE:
                planned = any(prompt.role == "assistant" for prompt in prompts)
                return self._finish(step, prompts, fields) if planned else self._begin(step, prompts, fields)
            case Step.REVIEW if not self._needs_review(self.solutions):
                self.reviewed = False
                return _reply(self._solutions[0], "stop", 0)
            case _:
                return self._ask(step, prompts, fields) or CUT

    @property
    def solutions(self) -> tuple[str, ...]:
        """What the accepted attempts came to."""
        return tuple(self._solutions)

    def _begin(self, step: Step, prompts: tuple[Message, ...], fields: dict[str, Any]) -> SimpleNamespace:
        """The first call of an attempt: its plan, or its execution where planning is switched off."""
        if not self._attempts.begin():
            return CUT
        if step is Step.EXECUTE:
            return self._finish(step, prompts, fields)
        plan = self._ask(step, prompts, fields)
        if plan is None:
            self._attempts.settle(accepted=False)
        return plan or CUT

    def _finish(self, step: Step, prompts: tuple[Message, ...], fields: dict[str, Any]) -> SimpleNamespace:
        """The last call of an attempt."""
        solution = self._ask(step, prompts, fields)
        if solution is not None:
            self._solutions.append(solution.choices[0].message.content)
        self._attempts.settle(accepted=solution is not None)
        return solution or CUT

    def _ask(self, step: Step, prompts: tuple[Message, ...], fields: dict[str, Any]) -> SimpleNamespace | None:
        """Ask, and return None for what cannot be used; raise what ends the candidate."""
        label = Label(step, self._candidate, LAST_RESORT if step is Step.DIRECT else "")
        writes = step is self._asker.settings.writing_step
        try:
            if writes:
                completion = self._asker.write(
                    label, prompts, _options(fields), self._listen(self), shortenable=tuple(self._replies)
                )
                self.finish_reason = completion.finish_reason or "stop"
            else:
                completion = self._asker.ask(label, prompts, _options(fields), tuple(self._replies))
            if not completion.usable and not (writes and self._cut_as_wished(completion)):
                raise UnusableReply(f"the reply was {_flaw(completion)}")
        except CepoError as error:
            self.finish_reason = "stop"
            if error.discards_answers or step is Step.DIRECT:  # the direct answer is a candidate's last resort
                self._attempts.abandon()
                raise
            self._asker.degraded.add(f"{label} left out: {error.message}")
            return None
        except BaseException:
            self._attempts.abandon()  # or the other attempts would wait for this one's end
            raise
        if step is not Step.PLAN:
            self._replies.append(completion.answer)
        # OptiLLM would throw a cut answer away (cepo.py:568): that it is cut, the client is told.
        return _reply(
            completion.answer, "stop" if writes else completion.finish_reason, completion.usage.completion_tokens
        )

    def _cut_as_wished(self, completion: Completion) -> bool:
        """Whether a cut answer stands: the client set the limit, or has heard it already."""
        wished = self._asker.parameters.max_tokens is not None or self._listen(self) is not None
        return wished and bool(completion.answer)

    def _step(self, prompts: tuple[Message, ...]) -> Step:
        if threading.get_ident() != self._own_thread:
            return Step.PLAN if len(prompts) == 2 else Step.EXECUTE
        if len(prompts) == 1:
            return Step.DIRECT
        first, self._consolidated = not self._consolidated, True
        return Step.REVIEW if first else Step.FINAL


def _prompts(fields: dict[str, Any]) -> tuple[Message, ...]:
    return tuple(Message(message["role"], message["content"] or "") for message in fields["messages"])


def _options(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in DECIDED_BELOW and value is not None}


def _flaw(completion: Completion) -> str:
    return {"length": "cut at its token limit", "content_filter": "cut by a content filter"}.get(
        completion.finish_reason or "", "empty"
    )


def _reply(text: str, finish_reason: str | None, completion_tokens: int | None) -> SimpleNamespace:
    choice = SimpleNamespace(message=SimpleNamespace(content=text), finish_reason=finish_reason)
    return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=completion_tokens or 0))


CUT = _reply("", "length", 0)
