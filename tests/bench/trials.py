"""Asking a simulated model many questions in several ways, without HTTP, and what their answers come to."""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any, NamedTuple, Protocol

import optillm.cepo.cepo as upstream
from simulator.loops import MODEL, Direct, OpenAiLike, optillm_config

from optillm_cerebras_cepo.chat import Question
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings import load
from optillm_cerebras_cepo.simulator import Mix, SimQuestion, Statistics, population, read_answer

CHUNK = 250  # questions that are asked in one go; fixed, so that the figures do not depend on the number of cores
Z = 1.96  # of a normal distribution, for 95 %


class Trial(NamedTuple):
    """What became of one question: its level, and all calls and completion tokens that were spent on it."""

    level: str
    right: bool
    calls: int
    tokens: int


Ask = Callable[[SimQuestion], Trial]


class Way(Protocol):
    """A way of answering. It is sent to another process, so what it needs there is made there."""

    def start(self, statistics: Statistics) -> Ask:
        """Make a simulated model of its own, and what asks it."""
        ...


@dataclass(frozen=True)
class World:
    """What is assumed: the documented mix of questions, how they correlate, and the judge. The seeds are all 0."""

    n: int
    rater_wrong: float = Statistics.rater_wrong
    rho: float = 0.0

    @property
    def questions(self) -> list[SimQuestion]:
        """The same ones each time."""
        return population(self.n, mix=Mix(rho=self.rho))


class Counted(OpenAiLike):
    """A client for OptiLLM's loop that counts the tokens of every reply; the loop reports fewer than it spends."""

    tokens = 0

    def _create(self, **fields: Any) -> Any:
        reply = super()._create(**fields)
        with self._lock:
            self.tokens += reply.usage.completion_tokens
        return reply


@dataclass(frozen=True)
class OptiLlm:
    """OptiLLM's own loop in its packaged configuration, reasoning off."""

    def start(self, statistics: Statistics) -> Ask:
        """With one client for all questions, read before and after each."""
        client, config = Counted(statistics), optillm_config(planning_n=3, planning_m=6, bestofn_n=3)

        def ask(question: SimQuestion) -> Trial:
            calls, tokens = client.kinds.total(), client.tokens
            answer, _ = upstream.cepo("", question.text, client, MODEL, config)
            right = read_answer(answer, question.id) == question.answer
            return Trial(question.level, right, client.kinds.total() - calls, client.tokens - tokens)

        return ask


@dataclass(frozen=True)
class Ours:
    """Our loop with an effort, all else at its defaults: also what a lowered token limit makes it ask again counts."""

    effort: str

    def start(self, statistics: Statistics) -> Ask:
        """With a runtime of its own: what it learns of replies is not another's."""
        api: Any = Direct(statistics)
        runtime, settings = Runtime(), load({}, {}, {"cepo_cerebras_effort": self.effort})

        def ask(question: SimQuestion) -> Trial:
            solved = runtime.solve(Question(question.text), settings, api, lambda _: None)
            right = read_answer(solved.outcome.answer, question.id) == question.answer
            total = solved.ledger.total
            return Trial(question.level, right, total.calls, total.completion_tokens)

        return ask


@contextlib.contextmanager
def workers(quick: bool) -> Iterator[Executor]:
    """Processes to run trials in, one a core; a thread when it is not worth their start.

    They are not forked: locks and threads of what ran before would be copied in whatever state they are.
    """
    pool: Executor = (
        ThreadPoolExecutor(1)
        if quick
        else ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"), initializer=_quiet)
    )
    with pool:
        yield pool


def submit(pool: Executor, way: Way, world: World, stop: int | None = None) -> Callable[[], list[Trial]]:
    """Begin to ask the world's questions, or the first `stop` of them; the result waits for their end."""
    starts = range(0, min(world.n, stop or world.n), CHUNK)
    parts: list[Future[list[Trial]]] = [pool.submit(_chunk, way, world, start) for start in starts]
    return lambda: [trial for part in parts for trial in part.result()]


def _chunk(way: Way, world: World, start: int) -> list[Trial]:
    # Draws belong to a question, so a model made afresh for each chunk answers as one for all would.
    ask = way.start(Statistics(rater_wrong=world.rater_wrong))
    with contextlib.redirect_stdout(io.StringIO()):  # OptiLLM prints that a review was left out
        return [ask(question) for question in world.questions[start : start + CHUNK]]


def _quiet() -> None:
    logging.disable(logging.WARNING)  # OptiLLM logs every question


class Estimate(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the interval."""
        return (self.high - self.low) / 2


def accuracy(trials: Sequence[Trial]) -> Estimate:
    """The share of right answers in per cent, with Wilson's interval."""
    n = len(trials)
    share = fmean(trial.right for trial in trials)
    middle, half = share + Z**2 / (2 * n), Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return Estimate(100 * share, *(100 * (middle + sign * half) / (1 + Z**2 / n) for sign in (-1, 1)))


def spent(trials: Sequence[Trial]) -> Estimate:
    """The mean tokens of a question."""
    return _normal([trial.tokens for trial in trials])


def gain(trials: Sequence[Trial], over: Sequence[Trial]) -> Estimate:
    """By how many points the accuracy is higher on the same questions; the interval is that of paired differences."""
    return _normal([100 * (one.right - other.right) for one, other in zip(trials, over, strict=True)])


def by_level(trials: Sequence[Trial]) -> Mapping[str, list[Trial]]:
    """The trials of each level, in the order of the mix."""
    return {level: [trial for trial in trials if trial.level == level] for level in Mix().shares}


def _normal(values: Sequence[float]) -> Estimate:
    mean, half = fmean(values), Z * stdev(values) / sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)
