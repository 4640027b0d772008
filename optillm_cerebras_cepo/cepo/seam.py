"""The seam: what OptiLLM's functions get as their client.

They reach the model only through `client.chat.completions.create(...)`, and read of its result only the text, the
finish reason and the completion tokens. They catch no error of the Cerebras SDK and crash on missing text, but they
handle a reply that was cut at its token limit: an attempt is rejected, the first solution replaces the review, the
review replaces the final answer. So a failed call and an unusable reply are returned to them as a cut reply.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from optillm_cerebras_cepo.cepo.request import LAST_RESORT
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.core.chat import Completion, Label, Listener, Message, Step, Usage
from optillm_cerebras_cepo.core.errors import CepoError, UnusableReply

# Fields that the step's settings or the table of models decide. The rest of OptiLLM's call is passed on.
DECIDED_BELOW = frozenset({"model", "messages", "max_tokens", "temperature", "stream", "reasoning_effort"})


class Seam:
    """Client for an OptiLLM function whose calls all belong to one step. Errors are raised to the caller."""

    def __init__(self, caller: StepCaller, label: Label) -> None:
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self._caller = caller
        self._label = label

    def _create(self, **fields: Any) -> SimpleNamespace:
        completion = self._caller.ask(self._label, prompts_of(fields), options_of(fields))
        return reply(completion.answer, completion.finish_reason, completion.usage.completion_tokens)


class Attempts:
    """Admission of one candidate's attempts at a plan.

    OptiLLM starts all `planning_m` attempts at once and waits for all (cepo.py:445), though it uses `planning_n`. Each
    of its threads waits here until its attempt is needed, or until it no longer is.

    Args:
        wanted: number of accepted attempts that the candidate needs.
        window: number after which `enough` is asked whether the others are needed; no other attempt begins before it
            has answered.
        enough: returns whether the accepted attempts are enough.

    """

    def __init__(self, wanted: int, window: int, enough: Callable[[], bool]) -> None:
        self._wanted = wanted
        self._admitted = min(window, wanted)
        self._enough = enough
        self._running = 0
        self._accepted = 0
        self._changed = threading.Condition()

    def begin(self) -> bool:
        """Wait until this attempt is needed; return False if enough others were accepted."""
        with self._changed:
            # OptiLLM's defect: all_attempts_start_at_once
            self._changed.wait_for(lambda: self._running + self._accepted < self._admitted or self._is_enough)
            if self._is_enough:
                return False
            self._running += 1
            return True

    def settle(self, accepted: bool) -> None:
        """End an attempt that had begun. Raise only what `enough` raises."""
        with self._changed:
            self._running -= 1
            self._accepted += accepted
            self._changed.notify_all()
            if not accepted or not self._accepted == self._admitted < self._wanted:
                return
        if self._enough():
            self.abandon()
        else:
            with self._changed:
                self._admitted = self._wanted
                self._changed.notify_all()

    def abandon(self) -> None:
        """Let no further attempt begin: the candidate has failed, or its attempts are enough."""
        with self._changed:
            self._admitted = self._accepted = self._wanted
            self._changed.notify_all()

    @property
    def _is_enough(self) -> bool:
        return self._accepted >= self._wanted


class CandidateSeam:
    """Client for one run of OptiLLM's `generate_completion`, created on the thread that runs it.

    The step of a call follows from its thread and its shape: plans and their execution run on threads of their own;
    review and final answer follow each other on the candidate's thread; a direct answer there has no system prompt.

    Args:
        caller: calls the model.
        candidate: number of the candidate, from 1.
        needs_review: returns whether these solutions need a review; without one the first solution is used.
        listen: returns the listener that receives the answer while it is written; called when that begins.
        window: number of solutions after which no other is made if they need no review; None: all are made.

    """

    def __init__(
        self,
        caller: StepCaller,
        candidate: int,
        needs_review: Callable[[Sequence[str]], bool],
        listen: Callable[[CandidateSeam], Listener | None] = lambda _: None,
        window: int | None = None,
    ) -> None:
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self._create))
        self._caller = caller
        self._candidate = candidate
        self._thread = threading.get_ident()
        self._needs_review = needs_review
        self._listen = listen
        self._consolidated = False
        self._solutions: list[Completion] = []
        self._answer: Completion | None = None  # the last reply on the candidate's thread
        self._replies: list[str] = []  # that the prompts of later steps contain
        plans = caller.request.settings.planning_n
        self._attempts = Attempts(plans, window or plans, self._window_agrees)
        self._agreed = False
        self.reviewed = True
        self.finish_reason = "stop"  # of the answer

    @property
    def solutions(self) -> tuple[str, ...]:
        """Results of the accepted attempts."""
        return tuple(solution.answer for solution in self._solutions)

    @property
    def usage(self) -> Usage:
        """Tokens of the call that wrote the answer. OptiLLM falls back to the review, then to the first solution."""
        return (self._answer or self._solutions[0]).usage

    def _create(self, **fields: Any) -> SimpleNamespace:
        prompts = prompts_of(fields)
        step = self._step(prompts)
        completion = self._dispatch(step, prompts, fields)
        if completion is None:
            return CUT
        # OptiLLM would drop a cut answer (cepo.py:568). The client sees in the finish reason that it is cut.
        writes = step is self._caller.request.settings.writing_step
        finish_reason = "stop" if writes else completion.finish_reason
        return reply(completion.answer, finish_reason, completion.usage.completion_tokens)

    def _dispatch(self, step: Step, prompts: tuple[Message, ...], fields: dict[str, Any]) -> Completion | None:
        """Return the reply for a call of OptiLLM's; None if there is none."""
        match step:
            case Step.PLAN:
                return self._begin(step, prompts, fields)
            # OptiLLM's defect: a_rejected_plan_is_executed
            case Step.EXECUTE if Message("assistant", "") in prompts:
                return None  # there is no plan to execute (OptiLLM would send null content, cepo.py:410)
            case Step.EXECUTE:
                planned = any(prompt.role == "assistant" for prompt in prompts)
                return self._finish(step, prompts, fields) if planned else self._begin(step, prompts, fields)
            case Step.REVIEW if self._agreed or not self._needs_review(self.solutions):
                self.reviewed = False
                return self._solutions[0]
            case _:
                completion = self._call(step, prompts, fields)
                self._answer = completion or self._answer
                return completion

    def _begin(self, step: Step, prompts: tuple[Message, ...], fields: dict[str, Any]) -> Completion | None:
        """Make the first call of an attempt: its plan, or its execution where planning is switched off."""
        if not self._attempts.begin():
            return None
        if step is Step.EXECUTE:
            return self._finish(step, prompts, fields)
        plan = self._call(step, prompts, fields)
        if plan is None:
            self._attempts.settle(accepted=False)
        return plan

    def _finish(self, step: Step, prompts: tuple[Message, ...], fields: dict[str, Any]) -> Completion | None:
        """Make the last call of an attempt."""
        solution = self._call(step, prompts, fields)
        if solution is not None:
            self._solutions.append(solution)
        self._attempts.settle(accepted=solution is not None)
        return solution

    def _window_agrees(self) -> bool:
        try:
            self._agreed = not self._needs_review(self.solutions)
        except BaseException:
            self._attempts.abandon()  # or the other attempts would wait for the answer
            raise
        return self._agreed

    def _call(self, step: Step, prompts: tuple[Message, ...], fields: dict[str, Any]) -> Completion | None:
        """Make a call; return None, with a note, if it fails. Raise what ends the candidate."""
        label = Label(step, self._candidate, LAST_RESORT if step is Step.DIRECT else "")
        writes = step is self._caller.request.settings.writing_step
        options, replies = options_of(fields), tuple(self._replies)
        try:
            if writes:
                completion = self._caller.write(label, prompts, options, self._listen(self), replies)
                self.finish_reason = completion.finish_reason or "stop"
            else:
                completion = self._caller.ask(label, prompts, options, replies)
            if not completion.usable and not (writes and self._may_be_cut(completion)):
                raise UnusableReply(f"the reply was {_flaw(completion)}")
        except CepoError as error:
            self.finish_reason = "stop"
            if error.discards_answers or step is Step.DIRECT:  # the direct answer is a candidate's last resort
                self._attempts.abandon()
                raise
            self._caller.tracker.degraded.add(f"{label} left out: {error.message}")
            return None
        except BaseException:
            self._attempts.abandon()  # or the other attempts would wait for this one's end
            raise
        if step is not Step.PLAN:
            self._replies.append(completion.answer)
        return completion

    def _may_be_cut(self, completion: Completion) -> bool:
        """Return whether a cut answer is kept: the client set the limit, or has received the answer already."""
        limited = self._caller.request.parameters.max_tokens is not None
        return (limited or self._listen(self) is not None) and bool(completion.answer)

    def _step(self, prompts: tuple[Message, ...]) -> Step:
        if threading.get_ident() != self._thread:
            return Step.PLAN if len(prompts) == 2 else Step.EXECUTE
        if len(prompts) == 1:
            return Step.DIRECT
        first, self._consolidated = not self._consolidated, True
        return Step.REVIEW if first else Step.FINAL


def prompts_of(fields: dict[str, Any]) -> tuple[Message, ...]:
    """Return the messages of an OptiLLM call."""
    return tuple(Message(message["role"], message["content"] or "") for message in fields["messages"])


def options_of(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an OptiLLM call that are passed on as they are."""
    return {name: value for name, value in fields.items() if name not in DECIDED_BELOW and value is not None}


def reply(text: str, finish_reason: str | None, completion_tokens: int | None) -> SimpleNamespace:
    """Return a reply with the attributes that OptiLLM's functions read."""
    choice = SimpleNamespace(message=SimpleNamespace(content=text), finish_reason=finish_reason)
    return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=completion_tokens or 0))


def _flaw(completion: Completion) -> str:
    flaws = {"length": "cut at its token limit", "content_filter": "cut by a content filter"}
    return flaws.get(completion.finish_reason or "", "empty")


CUT = reply("", "length", 0)
"""The reply that stands for a failed call: OptiLLM's functions handle it as one cut at its token limit."""
