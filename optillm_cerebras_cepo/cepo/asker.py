"""Asking the model on behalf of one request: the step's own limits, the client's conversation, the model's manners."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optillm_cerebras_cepo.budget import Budget, Means, unbounded
from optillm_cerebras_cepo.cepo.kinds import FORWARDED, LAST_RESORT, kind_of, variant_of
from optillm_cerebras_cepo.cepo.notes import Counts, Notes
from optillm_cerebras_cepo.cepo.timing import Times, kept_for_answer, kept_for_choosing
from optillm_cerebras_cepo.chat import (
    ChatRequest,
    Completion,
    Forward,
    Label,
    Listener,
    Message,
    Question,
    RawMessage,
    Step,
)
from optillm_cerebras_cepo.deadline import Deadline, unlimited
from optillm_cerebras_cepo.events import Observer, ignore
from optillm_cerebras_cepo.form import Form
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.parameters import Parameters
from optillm_cerebras_cepo.settings import Settings

DIRECT_TOKENS = 2000  # of a direct answer, when the request names no limit
# OptiLLM's defect: every_prompt_ends_with_a_switch_of_some_models
THINK_SWITCH = " /think"  # OptiLLM appends it to prompts for every model (cepo.py:411, 413, 505, 541)

LARGEST_SEED = 2**63 - 1


def boundless(_: float) -> float:
    """No limit is known."""
    return math.inf


def uncounted(_model: str, _texts: Collection[str]) -> int:
    """No prompt is counted."""
    return 0


def unknown(_: Label) -> int | None:
    """Nobody knows how many tokens replies take."""
    return None


@dataclass(frozen=True)
class Asker:
    """One request's way to one model.

    Attributes:
        client: the model client.
        model: the id to ask.
        thinks: whether the model reads the " /think" switch.
        question: what the client asks; its earlier turns stand before every prompt of OptiLLM's.
        settings: the request's settings.
        deadline: of all its calls.
        model_deadline: of all calls of the request to this model; by default the request's.
        budget: that they are taken from.
        times: how long they took.
        room: how many calls the API's limits let through in so many seconds.
        estimate: tokens of a model's prompt that has these texts as messages.
        usual: tokens that the replies of a step and kind usually take, where that is known.
        degraded: where to note what failed and was left out.
        fitted: where to note what of a call did not suit the model.
        parameters: what the client wants of the call that writes the answer.
        form: what its answer has to look like.
        observer: who is told how it goes on.
        counts: how often each step was asked.

    """

    client: ChatClient
    model: str
    thinks: bool
    question: Question
    settings: Settings
    deadline: Deadline = field(default_factory=unlimited)
    budget: Budget = field(default_factory=unbounded)
    times: Times = field(default_factory=Times)
    room: Callable[[float], float] = boundless
    estimate: Callable[[str, Collection[str]], int] = uncounted
    usual: Callable[[Label], int | None] = unknown
    degraded: Notes = field(default_factory=Notes)
    fitted: Notes = field(default_factory=Notes)
    parameters: Parameters = field(default_factory=Parameters)
    form: Form | None = None
    observer: Observer = ignore
    counts: Counts = field(default_factory=Counts)
    model_deadline: Deadline | None = None

    def ask(
        self, label: Label, prompts: Sequence[Message], options: Mapping[str, Any], shortenable: Sequence[str] = ()
    ) -> Completion:
        """Make one call with the step's own temperature and token limit. Raises a CepoError.

        `shortenable` are texts in the last prompt whose ends are enough where the whole is too long for the model.
        """
        # OptiLLM's defect: steps_take_the_numbers_of_the_first
        limits, turns = self.settings.limits(label.step), self._conversation(prompts)
        return self._complete(label, turns, options, limits.max_tokens, limits.temperature, shortenable=shortenable)

    def write(
        self,
        label: Label,
        prompts: Sequence[Message],
        options: Mapping[str, Any],
        listener: Listener | None = None,
        shortenable: Sequence[str] = (),
    ) -> Completion:
        """Make the call that writes the answer: as the client wants it where it says so. Raises a CepoError.

        Args:
            label: who asks.
            prompts: OptiLLM's.
            options: OptiLLM's further fields.
            listener: hears the reply while it is made.
            shortenable: as of `ask`.

        """
        wanted = self.parameters
        temperature = self.settings.limits(label.step).temperature if wanted.temperature is None else wanted.temperature
        turns, options = self._conversation(prompts), {**options, **_options(wanted)}
        return self._complete(label, turns, options, self._limit(label), temperature, listener, shortenable)

    def forward(self, label: Label, request: Forward, listener: Listener | None = None) -> Completion:
        """Make one call with the client's own messages. Raises a CepoError."""
        wanted = self.parameters
        most = wanted.max_tokens or self.settings.limits(label.step).max_tokens
        options = {**request.options, **_options(wanted)}
        forwarded = replace(label, kind=FORWARDED)
        return self._complete(forwarded, request.messages, options, most, wanted.temperature, listener)

    @property
    def left(self) -> Means:
        """What the request may still spend, without what is kept for choosing and sending its answer."""
        calls, tokens = self.budget.left
        left = self.deadline.remaining
        return Means(calls, tokens, left - self.kept_for_choosing, self.room(left - self.kept_for_answer))

    @property
    def kept_for_choosing(self) -> float:
        """Seconds in which what is there can be chosen among and sent."""
        return kept_for_choosing(self.deadline.whole.seconds)

    @property
    def kept_for_answer(self) -> float:
        """Seconds in which one more call can be made and the answer chosen."""
        return kept_for_answer(self.deadline.whole.seconds, self.times.longest)

    def reply_tokens(self, label: Label) -> int:
        """Return the tokens that a reply to this label's call is expected to take.

        What replies of its kind usually take, or the call's limit.
        """
        limit = self._limit(label)
        options = _options(self.parameters) if self._as_wanted(label) else {}
        return min(limit, self.usual(self._of_kind(label, limit, options)) or limit)

    def _limit(self, label: Label) -> int:
        """Return the most tokens of a reply: the client's own where there is one, else the step's."""
        limit = self.settings.limits(label.step).max_tokens
        if not self._as_wanted(label):
            return limit
        return self.parameters.max_tokens or (DIRECT_TOKENS if label.step is Step.DIRECT else limit)

    def _of_kind(self, label: Label, max_tokens: int, options: Mapping[str, Any]) -> Label:
        """Return the label with the kind of this call."""
        variant = label.kind or variant_of(label.step, self.settings)
        return replace(label, kind=kind_of(variant, max_tokens, options))

    def _as_wanted(self, label: Label) -> bool:
        """Return whether the call is made as the client wants it (`write`), or as the step's settings say (`ask`)."""
        direct = label.step is Step.DIRECT and label.kind != LAST_RESORT
        return direct or label.step in (self.settings.writing_step, Step.REPAIR)

    def _answers(self, step: Step) -> bool:
        """Whether there may be no answer without this step."""
        return step in (Step.DIRECT, self.settings.writing_step)

    def _deadline(self, step: Step) -> Deadline:
        """Until when the step may take: steps before the answer leave time for one."""
        if self._answers(step) or step in (Step.RATING, Step.REPAIR):
            return self.deadline.part(self.kept_for_choosing)
        return self.deadline.part(self.kept_for_answer)

    def _complete(
        self,
        label: Label,
        messages: tuple[Message | RawMessage, ...],
        options: Mapping[str, Any],
        max_tokens: int,
        temperature: float | None,
        listener: Listener | None = None,
        shortenable: Sequence[str] = (),
    ) -> Completion:
        deadline = self._deadline(label.step)
        label = self._of_kind(label, max_tokens, options)
        began = deadline.clock()
        completion = self.client.complete(
            ChatRequest(
                model=self.model,
                messages=messages,
                max_tokens=max_tokens,
                label=label,
                temperature=temperature,
                options={**options, **self._own(label)},
                deadline=deadline,
                model_deadline=self.model_deadline,
                budget=self.budget if self._answers(label.step) else self.budget.whole,
                listener=listener,
                # What the question holds too might be cut there.
                shortenable=tuple(text for text in shortenable if text not in self.question.text),
            )
        )
        self.times.add(deadline.clock() - began)
        self.fitted.add(*(f"{label.step.value}: {change}" for change in completion.fitted))
        return completion

    def _own(self, label: Label) -> dict[str, Any]:
        """What every call of this client's carries: who it is for, and a seed of its own."""
        own: dict[str, Any] = {} if self.parameters.user is None else {"user": self.parameters.user}
        if self.parameters.seed is not None:
            own["seed"] = _shifted(self.parameters.seed, self.counts.seed_offset(label))
        return own

    def _conversation(self, prompts: Sequence[Message]) -> tuple[Message, ...]:
        """OptiLLM's prompts in the client's conversation.

        OptiLLM's functions know one system prompt and one question, and leave the system prompt out of some calls. Here
        it stands first in each, and the earlier turns follow it as the turns that they were, later system turns too.
        """
        system = prompts[0].content if prompts[0].role == "system" else self.question.system
        rest = [message for message in prompts if message.role != "system"]
        opening = (Message("system", system),) if system.strip() else ()
        return (*opening, *self.question.history, *(self._suited(message) for message in rest))

    def _suited(self, message: Message) -> Message:
        if self.thinks or message.role != "user":
            return message
        return Message("user", message.content.removesuffix(THINK_SWITCH))


def _shifted(seed: int, offset: int) -> int:
    """A seed that no other offset gives, of 64 bits with a sign as well."""
    return seed + offset if seed + offset <= LARGEST_SEED else seed - offset


def _options(wanted: Parameters) -> dict[str, Any]:
    """What the client asks of the call that writes the answer, under the API's names."""
    options: dict[str, Any] = {
        "top_p": wanted.top_p,
        "stop": list(wanted.stop) or None,
        "response_format": wanted.response_format,
        "frequency_penalty": wanted.frequency_penalty,
        "presence_penalty": wanted.presence_penalty,
        "logit_bias": wanted.logit_bias,
    }
    return {name: value for name, value in options.items() if value is not None}
