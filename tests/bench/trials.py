"""Ask a simulated model many questions with several methods, without HTTP, and evaluate the answers."""

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
from statistical_model.clients import MODEL, DirectClient, OpenAiClient, optillm_config
from statistical_model.model import Skills
from statistical_model.population import Mix, population
from statistical_model.questions import SimQuestion
from statistical_model.texts import read_answer
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings.loading import load

CHUNK = 250  # questions of one task; fixed, so that the figures do not depend on the number of cores
Z = 1.96  # of the normal distribution, for 95 % intervals


class Trial(NamedTuple):
    """Result of one question: its level, and the number of all its calls and completion tokens."""

    level: str
    right: bool
    calls: int
    tokens: int


Ask = Callable[[SimQuestion], Trial]


class Method(Protocol):
    """A method of answering. It is sent to another process, and creates its model there."""

    def start(self, skills: Skills) -> Ask:
        """Create a simulated model, and return a function that asks it a question."""
        ...


@dataclass(frozen=True)
class Scenario:
    """Assumptions: number of questions of the default mix, correlation of samples, and the judge. All seeds are 0.

    Attributes:
        rho: measured on real models: 0.57 to 0.76 (bench/accuracy.py has the sources).

    """

    n: int
    rater_wrong: float = Skills.rater_wrong
    rho: float = 0.7
    judge_solves: float = 0.0

    @property
    def questions(self) -> list[SimQuestion]:
        """The questions, the same ones each time."""
        return population(self.n, mix=Mix(rho=self.rho))


class CountingClient(OpenAiClient):
    """Client for OptiLLM's loop that counts completion tokens; the loop does not report all of them."""

    tokens = 0

    def _create(self, **fields: Any) -> Any:
        reply = super()._create(**fields)
        with self._lock:
            self.tokens += reply.usage.completion_tokens
        return reply


@dataclass(frozen=True)
class OptiLlm:
    """OptiLLM's loop with its packaged configuration, without reasoning."""

    def start(self, skills: Skills) -> Ask:
        """Use one client for all questions, and read its counters before and after each."""
        client, config = CountingClient(skills), optillm_config(planning_n=3, planning_m=6, bestofn_n=3)

        def ask(question: SimQuestion) -> Trial:
            calls, tokens = client.kinds.total(), client.tokens
            answer, _ = upstream.cepo("", question.text, client, MODEL, config)
            right = read_answer(answer, question.id) == question.answer
            return Trial(question.level, right, client.kinds.total() - calls, client.tokens - tokens)

        return ask


@dataclass(frozen=True)
class Ours:
    """Our loop with an effort and default settings. Calls repeated because of a lowered token limit count as well.

    `others_rate`: a model of another family rates.
    """

    effort: str
    others_rate: bool = False

    @property
    def _fields(self) -> dict[str, str]:
        judge = {"cepo_cerebras_rating_model": "auto"} if self.others_rate else {}
        return {"cepo_cerebras_effort": self.effort, **judge}

    def start(self, skills: Skills) -> Ask:
        """Use a new runtime, so that lengths learned elsewhere have no effect."""
        api: Any = DirectClient(skills)
        runtime, settings = Runtime(), load({}, {}, self._fields)

        def ask(question: SimQuestion) -> Trial:
            result = solve(runtime, Question(question.text), settings, api, lambda _: None)
            right = read_answer(result.outcome.answer, question.id) == question.answer
            total = result.ledger.total
            return Trial(question.level, right, total.calls, total.completion_tokens)

        return ask


@contextlib.contextmanager
def workers(quick: bool) -> Iterator[Executor]:
    """Yield a pool for trials: a process for each core, or one thread for quick runs.

    The processes are spawned, because forked ones would inherit locks of other threads.
    """
    pool: Executor = (
        ThreadPoolExecutor(1)
        if quick
        else ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn"), initializer=_quiet)
    )
    with pool:
        yield pool


def submit(pool: Executor, method: Method, scenario: Scenario, stop: int | None = None) -> Callable[[], list[Trial]]:
    """Start asking the scenario's questions, or the first `stop`; return a function that waits for the trials."""
    starts = range(0, min(scenario.n, stop or scenario.n), CHUNK)
    parts: list[Future[list[Trial]]] = [pool.submit(_chunk, method, scenario, start) for start in starts]
    return lambda: [trial for part in parts for trial in part.result()]


def _chunk(method: Method, scenario: Scenario, start: int) -> list[Trial]:
    # Draws depend on the question only, so a new model for each chunk gives the same answers.
    ask = method.start(Skills(rater_wrong=scenario.rater_wrong, judge_solves=scenario.judge_solves))
    with contextlib.redirect_stdout(io.StringIO()):  # OptiLLM prints skipped reviews
        return [ask(question) for question in scenario.questions[start : start + CHUNK]]


def _quiet() -> None:
    logging.disable(logging.WARNING)  # OptiLLM logs every question


class Estimate(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


def accuracy(trials: Sequence[Trial]) -> Estimate:
    """Return the percentage of right answers with Wilson's interval."""
    n = len(trials)
    share = fmean(trial.right for trial in trials)
    middle, half = share + Z**2 / (2 * n), Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return Estimate(100 * share, *(100 * (middle + sign * half) / (1 + Z**2 / n) for sign in (-1, 1)))


def tokens_spent(trials: Sequence[Trial]) -> Estimate:
    """Return the mean tokens per question."""
    return _normal([trial.tokens for trial in trials])


def difference(trials: Sequence[Trial], base: Sequence[Trial]) -> Estimate:
    """Return the difference in accuracy in points on the same questions, with the interval of paired differences."""
    return _normal([100 * (one.right - other.right) for one, other in zip(trials, base, strict=True)])


def by_level(trials: Sequence[Trial]) -> Mapping[str, list[Trial]]:
    """Return the trials of each level, in the order of the mix."""
    return {level: [trial for trial in trials if trial.level == level] for level in Mix().shares}


def _normal(values: Sequence[float]) -> Estimate:
    mean, half = fmean(values), Z * stdev(values) / sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)
