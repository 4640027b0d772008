"""Draws the reply to each call from the question's probabilities and a few skills.

Each draw has its own random generator, seeded with the seed, the model, the question, the kind of call, the quoted
answers and the number of such calls before. So no question's answers depend on calls about another question, and the
answers do not depend on the lengths of the replies.

What it leaves out, so that its figures are not mistaken for a real model's: temperature and wording have no effect; all
plans are equally good; a judge's errors are independent, and it is not attracted by the wrong answer that attracted the
solver; a final answer never deviates; each answer has one notation.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from optillm_cerebras_cepo.simulator import Answer, tokens
from optillm_cerebras_cepo.simulator.schema import ChatCompletionServerRequest
from statistical_model.calls import CallKind, Messages, ModelCall, recognize_call
from statistical_model.questions import SimQuestion
from statistical_model.texts import Lengths, answer_line, filler, write


@dataclass(frozen=True)
class Skills:
    """Skills of a simulated model, as probabilities from 0 to 1, and the seed of its draws. Defaults are assumptions.

    Attributes:
        rater_right: that the rating of a right answer is 1.
        rater_wrong: that the rating of a wrong answer is 0; a reply without an answer is wrong. A comparison is two
            such ratings; the reply with the higher one wins, ties are decided at random. A right reply wins against a
            wrong one with probability (rater_right + rater_wrong) / 2.
        review_finds: that a review of several answers picks the right one if it is among them, whatever their number.
        review_keeps: that it otherwise keeps the most frequent answer (ties are decided at random); if not, it answers
            with a sample of its own. Unanimous answers are kept with this probability too.
        judge_solves: that a judge answers the question itself instead, and rates an answer 1 if it is its own. A judge
            that is the model that answered errs like it then; another model has errors of its own.
        lengths: of the replies.
        seed: of all draws.

    """

    rater_right: float = 0.9
    rater_wrong: float = 0.7
    review_finds: float = 0.3
    review_keeps: float = 0.95
    judge_solves: float = 0.0
    lengths: Lengths = Lengths()  # noqa: RUF009 - frozen, so one default instance can be shared
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rater_right", "rater_wrong", "review_finds", "review_keeps", "judge_solves"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")


class ModelReply(NamedTuple):
    """A reply, cut at its limit: the text, why it ends, and its length in simulated tokens."""

    text: str
    finish_reason: Literal["stop", "length"]
    completion_tokens: int


class StatisticalModel:
    """Answers calls about questions with a tag. Thread-safe.

    It counts calls, so repeated questions get new answers; a new instance answers like the first one.
    """

    def __init__(self, skills: Skills | None = None) -> None:
        self.skills = skills or Skills()
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()

    def answer(self, messages: Messages, model: str, max_tokens: int | None = None) -> ModelReply:
        """Answer one call, without HTTP; the text is cut at `max_tokens` simulated tokens.

        Raise ValueError if no user message contains a question's tag, or if the tag is invalid.
        """
        call = recognize_call(messages)
        if call is None:
            raise ValueError("no user message contains a tag such as [[sim id=1 p=0.5 answer=42]]")
        text = self.reply(call, model)
        length = tokens.count(text)
        if max_tokens is None or length <= max_tokens:
            return ModelReply(text, "stop", length)
        return ModelReply(tokens.cut(text, max_tokens), "length", max_tokens)

    def reply(self, call: ModelCall, model: str) -> str:
        """Return the complete text of the next reply to such a call."""
        source = self._source(call, model)
        # The answer is drawn before the length, so that other lengths do not change the answers.
        last_line = self._last_line(call, model, source)
        length = self.skills.lengths.draw(call.kind.value, source)
        if call.kind is CallKind.APPROACHES:
            return _approaches(call.approaches, length, source)
        return write(length, last_line, source)

    def _source(self, call: ModelCall, model: str) -> random.Random:
        # Sorted: the order in which parallel solutions reach a review has no effect. A comparison's order has.
        quoted = call.quoted if call.kind is CallKind.COMPARISON else sorted(call.quoted, key=str)
        key = "|".join((model, call.question.id, call.kind.value, *map(str, quoted)))
        with self._lock:
            number = self._calls[key]
            self._calls[key] += 1
        return random.Random(f"{self.skills.seed}|{key}|{number}")

    def _last_line(self, call: ModelCall, model: str, source: random.Random) -> str:
        question = call.question
        match call.kind:
            case CallKind.APPROACHES | CallKind.PLAN:
                return ""
            case CallKind.RATING:
                return f"Rating: [[{int(self._approves(question, call.quoted[0], model, source))}]]"
            case CallKind.COMPARISON:
                return f"Better Response: [[{self._better(question, call.quoted, model, source)}]]"
            case CallKind.REVIEW:
                answer = self._review(call, model, source)
            case CallKind.FINAL:
                answer = call.quoted[0] or self._sample(question, model, source)
            case CallKind.EXECUTE | CallKind.DIRECT:
                answer = self._sample(question, model, source)
        return answer_line(question.id, answer)

    def _sample(self, question: SimQuestion, model: str, source: random.Random) -> str:
        if question.rho and source.random() < question.rho**0.5:
            return question.draw(random.Random(f"{self.skills.seed}|{model}|{question.id}|mood"))
        return question.draw(source)

    def _review(self, call: ModelCall, model: str, source: random.Random) -> str:
        votes = Counter(sorted(answer for answer in call.quoted if answer is not None))
        if call.question.answer in votes and source.random() < self.skills.review_finds:
            return call.question.answer
        if votes and source.random() < self.skills.review_keeps:
            most = max(votes.values())
            return source.choice([answer for answer, count in votes.items() if count == most])
        return self._sample(call.question, model, source)

    def _approves(self, question: SimQuestion, answer: str | None, model: str, source: random.Random) -> bool:
        if self.skills.judge_solves and source.random() < self.skills.judge_solves:
            return answer == self._sample(question, model, source)
        chance = self.skills.rater_right if answer == question.answer else 1 - self.skills.rater_wrong
        return source.random() < chance

    def _better(self, question: SimQuestion, quoted: tuple[str | None, ...], model: str, source: random.Random) -> int:
        first, second = (self._approves(question, answer, model, source) for answer in (*quoted, None, None)[:2])
        return int(second) if first != second else source.randrange(2)


def responder(skills: Skills | None = None) -> Callable[[ChatCompletionServerRequest], Answer | None]:
    """Return a responder for the simulated API: it answers calls about questions with a tag and labels their kind."""
    model = StatisticalModel(skills)

    def respond(request: ChatCompletionServerRequest) -> Answer | None:
        call = recognize_call([{"role": item.role, "content": tokens.plain(item.content)} for item in request.messages])
        return Answer(model.reply(call, request.model), label=call.kind.value) if call else None

    return respond


def _approaches(number: int, length: int, source: random.Random) -> str:
    room = max(1, length * tokens.CHARACTERS_PER_TOKEN // max(number, 1) - len('"approach_1": "", '))
    return json.dumps({f"approach_{index}": filler(room, source) for index in range(1, number + 1)})
