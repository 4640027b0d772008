"""A model of a model: each call is answered by a draw, as the question that it quotes and a few skills say.

What a question says of itself stands in `questions`, how a call is told from another in `asked`. A draw comes from a
generator of its own, seeded by the seed, the model, the question, the kind of call, the answers that the call quotes
and how many such calls there were before. So no question's answers depend on another's calls, and the answers do not
depend on how long the replies are.

What it leaves out, so that no figure from it is mistaken for a model's: temperature and wording change nothing; a plan
is no better or worse than another; a judge errs anew in each call, and is not drawn to the wrong answer that drew the
solver; a final answer never slips; there is one notation for each answer.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Literal, NamedTuple

from . import tokens
from .asked import Asked, Kind, Messages, read_call
from .lengths import Lengths
from .questions import SimQuestion
from .wording import answer_line, filler, write


@dataclass(frozen=True)
class Statistics:
    """The skills of a simulated model, as probabilities from 0 to 1, and the seed of its draws. Defaults: [assumed].

    Attributes:
        rater_right: that a rating of a right answer is 1.
        rater_wrong: that a rating of a wrong answer is 0; a reply without an answer is wrong. A comparison is two such
            ratings made in private: the better rated reply wins, and a coin decides between equals. Of a right and a
            wrong one, the right one wins with (rater_right + rater_wrong) / 2.
        review_finds: that a review of several answers picks the right one when it is among them, whatever their number.
        review_keeps: that it keeps the most frequent answer otherwise (a draw decides between equals); if it does not,
            it answers by a sample of its own. Agreement is not special: it too is kept with this probability.
        lengths: how long the replies are.

    """

    rater_right: float = 0.9
    rater_wrong: float = 0.7
    review_finds: float = 0.3
    review_keeps: float = 0.95
    lengths: Lengths = Lengths()  # noqa: RUF009 - frozen, so one default instance can be shared
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rater_right", "rater_wrong", "review_finds", "review_keeps"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")


class Said(NamedTuple):
    """A reply, cut at its limit: the text, why it ends, and its length in simulated tokens."""

    text: str
    finish_reason: Literal["stop", "length"]
    completion_tokens: int


class StatisticalModel:
    """Answers calls about questions that carry a tag. Safe to use from several threads.

    It counts the calls, so the same questions asked of it again are answered anew; one made afresh answers as at first.
    """

    def __init__(self, statistics: Statistics | None = None) -> None:
        self.statistics = statistics or Statistics()
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()

    def answer(self, messages: Messages, model: str, max_tokens: int | None = None) -> Said:
        """Answer one call, without HTTP; the text is cut at `max_tokens` simulated tokens.

        Raises ValueError when no message of the user's carries a question's tag, or a bad one.
        """
        asked = read_call(messages)
        if asked is None:
            raise ValueError("no message from the user carries a tag such as [[sim id=1 p=0.5 answer=42]]")
        text = self.reply(asked, model)
        length = tokens.count(text)
        if max_tokens is None or length <= max_tokens:
            return Said(text, "stop", length)
        return Said(tokens.cut(text, max_tokens), "length", max_tokens)

    def reply(self, asked: Asked, model: str) -> str:
        """The whole text of the next reply to such a call."""
        source = self._source(asked, model)
        # The answer is drawn before the length: other lengths leave the answers as they are.
        ending = self._ending(asked, model, source)
        length = self.statistics.lengths.draw(asked.kind, source)
        if asked.kind is Kind.APPROACHES:
            return _approaches(asked.wanted, length, source)
        return write(length, ending, source)

    def _source(self, asked: Asked, model: str) -> random.Random:
        # Sorted: in which order parallel solutions arrive at a review makes no difference. A comparison's order does.
        shown = asked.shown if asked.kind is Kind.COMPARISON else sorted(asked.shown, key=str)
        key = "|".join((model, asked.question.id, asked.kind.value, *map(str, shown)))
        with self._lock:
            number = self._calls[key]
            self._calls[key] += 1
        return random.Random(f"{self.statistics.seed}|{key}|{number}")

    def _ending(self, asked: Asked, model: str, source: random.Random) -> str:
        question = asked.question
        match asked.kind:
            case Kind.APPROACHES | Kind.PLAN:
                return ""
            case Kind.RATING:
                return f"Rating: [[{int(self._approves(question, asked.shown[0], source))}]]"
            case Kind.COMPARISON:
                return f"Better Response: [[{self._better(question, asked.shown, source)}]]"
            case Kind.REVIEW:
                answer = self._review(asked, model, source)
            case Kind.FINAL:
                answer = asked.shown[0] or self._sample(question, model, source)
            case Kind.EXECUTE | Kind.DIRECT:
                answer = self._sample(question, model, source)
        return answer_line(question.id, answer)

    def _sample(self, question: SimQuestion, model: str, source: random.Random) -> str:
        if question.rho and source.random() < question.rho**0.5:
            return question.draw(random.Random(f"{self.statistics.seed}|{model}|{question.id}|mood"))
        return question.draw(source)

    def _review(self, asked: Asked, model: str, source: random.Random) -> str:
        votes = Counter(sorted(answer for answer in asked.shown if answer is not None))
        if asked.question.answer in votes and source.random() < self.statistics.review_finds:
            return asked.question.answer
        if votes and source.random() < self.statistics.review_keeps:
            most = max(votes.values())
            return source.choice([answer for answer, count in votes.items() if count == most])
        return self._sample(asked.question, model, source)

    def _approves(self, question: SimQuestion, shown: str | None, source: random.Random) -> bool:
        chance = self.statistics.rater_right if shown == question.answer else 1 - self.statistics.rater_wrong
        return source.random() < chance

    def _better(self, question: SimQuestion, shown: tuple[str | None, ...], source: random.Random) -> int:
        first, second = (self._approves(question, answer, source) for answer in (*shown, None, None)[:2])
        return int(second) if first != second else source.randrange(2)


def _approaches(wanted: int, length: int, source: random.Random) -> str:
    room = max(1, length * tokens.CHARACTERS_PER_TOKEN // max(wanted, 1) - len('"approach_1": "", '))
    return json.dumps({f"approach_{number}": filler(room, source) for number in range(1, wanted + 1)})
