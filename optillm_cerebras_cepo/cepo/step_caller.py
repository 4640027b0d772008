"""Call the model for one step of CePO: with the step's limits, in the client's conversation."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optillm_cerebras_cepo.cepo.request import (
    LAST_RESORT,
    PASSTHROUGH,
    CepoRequest,
    RequestTracker,
    kept_for_answer,
    kept_for_choosing,
    kind_of,
    variant_of,
)
from optillm_cerebras_cepo.core.budget import Budget, Resources
from optillm_cerebras_cepo.core.chat import (
    QUEUED_TIERS,
    ChatClient,
    ChatRequest,
    Completion,
    Label,
    Listener,
    Message,
    Parameters,
    RawMessage,
    Step,
)
from optillm_cerebras_cepo.core.deadline import Deadline

DIRECT_MAX_TOKENS = 2000  # of a direct answer, when the request names no limit
# OptiLLM's defect: every_prompt_ends_with_a_switch_of_some_models
THINK_SWITCH = " /think"  # OptiLLM appends it to prompts for every model (cepo.py:411, 413, 505, 541)

# Tokens that a reply's limit has for its reasoning, by the value of `reasoning_effort`.
REASONING_ROOM = {"low": 2048, "medium": 8192, "high": 16384}
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class ModelAccess:
    """How to reach one model, and what is known of it."""

    client: ChatClient  # makes the calls
    id: str  # the model's id at the API
    efforts: Collection[str] = ()  # values of `reasoning_effort` that the model takes
    reads_think_switch: bool = False  # whether " /think" at the end of a prompt turns its reasoning on
    deadline: Deadline = field(default_factory=Deadline)  # of all calls to this model
    # Returns the number of calls that the rate limits allow in so many seconds.
    calls_possible: Callable[[float], float] = lambda _: math.inf
    # Returns the estimated tokens of a prompt that has these texts as messages.
    count_tokens: Callable[[Collection[str]], int] = lambda _: 0
    # Returns the mean tokens of replies to calls with this label; None if not known yet.
    usual_reply_tokens: Callable[[Label], int | None] = lambda _: None


@dataclass(frozen=True)
class StepCaller:
    """Makes one request's calls to one model."""

    request: CepoRequest  # what is asked; its earlier turns stand before every prompt of OptiLLM's
    model: ModelAccess  # the model to call
    tracker: RequestTracker = field(default_factory=RequestTracker)  # where failures and changes are noted
    deadline: Deadline = field(default_factory=Deadline)  # of these calls; a candidate's is a part of the request's
    # What the calls are charged to; a candidate's may be a reservation of the request's.
    budget: Budget = field(default_factory=Budget)

    def ask(
        self, label: Label, prompts: Sequence[Message], options: Mapping[str, Any], shortenable: Sequence[str] = ()
    ) -> Completion:
        """Make one call with the step's own temperature and token limit. Raise a CepoError if it fails.

        Args:
            label: the step and the candidate.
            prompts: OptiLLM's messages.
            options: OptiLLM's further fields.
            shortenable: texts in the last prompt that may lose their beginnings if it is too long for the model.

        """
        # OptiLLM's defect: steps_take_the_numbers_of_the_first
        temperature = self.request.settings.limits(label.step).temperature
        messages = self._conversation(prompts)
        return self._complete(label, messages, self._max_tokens(label), temperature, options, None, shortenable)

    def write(
        self,
        label: Label,
        prompts: Sequence[Message],
        options: Mapping[str, Any],
        listener: Listener | None = None,
        shortenable: Sequence[str] = (),
    ) -> Completion:
        """Make the call that writes the answer, with the client's own parameters. Raise a CepoError if it fails.

        Args:
            label: the step and the candidate.
            prompts: OptiLLM's messages.
            options: OptiLLM's further fields.
            listener: receives the reply while it is written.
            shortenable: as for `ask`.

        """
        wanted, messages = self.request.parameters, self._conversation(prompts)
        temperature = wanted.temperature
        if temperature is None:
            temperature = self.request.settings.limits(label.step).temperature
        options = {**options, **_options(wanted)}
        return self._complete(label, messages, self._max_tokens(label), temperature, options, listener, shortenable)

    def converse(self, label: Label, turns: Sequence[Message] = (), listener: Listener | None = None) -> Completion:
        """Make a call with the client's own conversation and these turns. Raise a CepoError if it fails."""
        question, wanted = self.request.question, self.request.parameters
        if question.passthrough is None:
            return self.write(label, [Message("user", question.text), *turns], {}, listener)
        messages: tuple[Message | RawMessage, ...] = (*question.passthrough.messages, *turns)
        max_tokens = wanted.max_tokens or self._with_room(
            label.step, self.request.settings.limits(label.step).max_tokens
        )
        options = {**question.passthrough.options, **_options(wanted)}
        return self._complete(
            replace(label, kind=PASSTHROUGH), messages, max_tokens, wanted.temperature, options, listener
        )

    @property
    def resources(self) -> Resources:
        """What the request may still spend, without the time that is kept for choosing and sending its answer."""
        calls, tokens = self.budget.remaining
        seconds = self.deadline.remaining
        possible = self.model.calls_possible(seconds - self.kept_for_answer)
        return Resources(calls, tokens, seconds - self.kept_for_choosing, possible)

    @property
    def kept_for_choosing(self) -> float:
        """Seconds in which an answer can be chosen and sent."""
        return kept_for_choosing(self.deadline.whole.seconds)

    @property
    def kept_for_answer(self) -> float:
        """Seconds in which one more call can be made and the answer chosen."""
        return kept_for_answer(self.deadline.whole.seconds, self.tracker.call_times.longest)

    def expected_reply_tokens(self, label: Label) -> int:
        """Return the tokens that the reply to a call with this label usually takes; else the call's limit."""
        limit = self._max_tokens(label)
        options = _options(self.request.parameters) if self._uses_client_parameters(label) else {}
        options |= self._reasoning(label.step)
        return min(limit, self.model.usual_reply_tokens(self._with_kind(label, limit, options)) or limit)

    def _max_tokens(self, label: Label) -> int:
        """Return the most tokens of a reply: the client's own limit where it has one, else the step's."""
        limit = self.request.settings.limits(label.step).max_tokens
        if not self._uses_client_parameters(label):
            return self._with_room(label.step, limit)
        limit = DIRECT_MAX_TOKENS if label.step is Step.DIRECT else limit
        return self.request.parameters.max_tokens or self._with_room(label.step, limit)

    def _with_room(self, step: Step, max_tokens: int) -> int:
        """Return a limit of an answer's tokens with those of the reasoning before it."""
        return max_tokens + REASONING_ROOM.get(self._reasoning(step).get("reasoning_effort", ""), 0)

    def _reasoning(self, step: Step) -> dict[str, str]:
        """Return the `reasoning_effort` of a step's calls, if one is set and the model takes it."""
        effort = self.request.settings.reasoning(step)
        return {"reasoning_effort": effort} if effort and effort in self.model.efforts else {}

    def _with_kind(self, label: Label, max_tokens: int, options: Mapping[str, Any]) -> Label:
        variant = label.kind or variant_of(label.step, self.request.settings)
        return replace(label, kind=kind_of(variant, max_tokens, options))

    def _uses_client_parameters(self, label: Label) -> bool:
        """Return whether the call is made by `write`, with the client's parameters, and not by `ask`."""
        direct = label.step is Step.DIRECT and label.kind != LAST_RESORT
        return direct or label.step in (self.request.settings.writing_step, Step.REPAIR)

    def _complete(
        self,
        label: Label,
        messages: tuple[Message | RawMessage, ...],
        max_tokens: int,
        temperature: float | None,
        options: Mapping[str, Any],
        listener: Listener | None = None,
        shortenable: Sequence[str] = (),
    ) -> Completion:
        """Make a call within the step's time and budget, and note what of it was changed."""
        step = label.step
        writes = step in (Step.DIRECT, self.request.settings.writing_step)
        # Steps before the answer leave time for one more call.
        is_last = writes or step in (Step.RATING, Step.REPAIR)
        deadline = self.deadline.part(self.kept_for_choosing if is_last else self.kept_for_answer)
        tier = self.request.settings.tier(step)
        options = {**options, **self._reasoning(step)}
        by_client = label.kind == PASSTHROUGH or self._uses_client_parameters(label)
        label = self._with_kind(label, max_tokens, options)
        call = ChatRequest(
            self.model.id,
            messages,
            max_tokens,
            label,
            temperature,
            {**options, **({"service_tier": tier} if tier else {}), **self._identity(label)},
            headers=self._headers(tier),
            deadline=deadline,
            model_deadline=self.model.deadline,
            budget=self.budget if writes else self.budget.whole,
            listener=listener,
            # A text that is also in the question might be cut there.
            shortenable=tuple(text for text in shortenable if text not in self.request.question.text),
            may_take_more=not (by_client and self.request.parameters.max_tokens),
        )
        began = deadline.clock()
        completion = self.model.client.complete(call)
        self.tracker.call_times.add(deadline.clock() - began)
        self.tracker.fitted.add(*(f"{step.value}: {change}" for change in completion.fitted))
        return completion

    def _identity(self, label: Label) -> dict[str, Any]:
        """Return the client's `user`, the cache key, and the `seed`, shifted: no two calls of a step have the same."""
        wanted = self.request.parameters
        fields: dict[str, Any] = {} if wanted.user is None else {"user": wanted.user}
        if cache_key := wanted.prompt_cache_key or self.request.cache_key:
            fields["prompt_cache_key"] = cache_key
        if wanted.seed is not None:
            fields["seed"] = _shifted(wanted.seed, self.tracker.seed_offsets.next(label))
        return fields

    def _headers(self, tier: str | None) -> dict[str, str]:
        threshold = self.request.settings.queue_threshold
        return {"queue_threshold": str(threshold)} if threshold and tier in QUEUED_TIERS else {}

    def _conversation(self, prompts: Sequence[Message]) -> tuple[Message, ...]:
        """Return OptiLLM's prompts within the client's conversation.

        OptiLLM's functions know one system prompt and one question, and leave the system prompt out of some calls. Here
        it comes first in each call, and the earlier turns follow with their roles, later system turns included.
        """
        question = self.request.question
        system = prompts[0].content if prompts[0].role == "system" else question.system
        rest = [message for message in prompts if message.role != "system"]
        opening = (Message("system", system),) if system.strip() else ()
        return (*opening, *question.history, *(self._without_switch(message) for message in rest))

    def _without_switch(self, message: Message) -> Message:
        if self.model.reads_think_switch or message.role != "user":
            return message
        return Message("user", message.content.removesuffix(THINK_SWITCH))


def _shifted(seed: int, offset: int) -> int:
    """Return a seed that no other offset gives, within signed 64 bits."""
    return seed + offset if seed + offset <= LARGEST_SEED else seed - offset


def _options(wanted: Parameters) -> dict[str, Any]:
    """Return the client's parameters for the call that writes the answer, under the API's names."""
    options: dict[str, Any] = {
        "top_p": wanted.top_p,
        "stop": list(wanted.stop) or None,
        "response_format": wanted.response_format,
        "frequency_penalty": wanted.frequency_penalty,
        "presence_penalty": wanted.presence_penalty,
        "logit_bias": wanted.logit_bias,
    }
    return {name: value for name, value in options.items() if value is not None}
