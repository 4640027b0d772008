"""Sets of answers to one question: some right, in varied notation and wording, the others wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from support.answer_notations import KINDS, Notation


@dataclass(frozen=True)
class AnswerSet:
    """Five replies to a question; `right` holds the indexes of the right ones."""

    kind: str
    question: str
    answers: tuple[str, ...]
    right: frozenset[int]


Frame = Callable[[Notation, str], str]

WORK = (
    "First I write down what is given, then I put it together step by step.",
    "Let me go through it: 3 + 4 = 7, and the rest follows from there.",
    "There are two ways to see this. Both need $k = 2$ along the way.",
    "Step 1: collect the facts.\nStep 2: combine them.\nStep 3: check what comes out.",
)
FRAMES: tuple[Frame, ...] = (
    lambda n, _: n.prose,
    lambda n, _: f"The answer is {n.prose}.",
    lambda n, w: f"{w}\n\nAnswer: {n.prose}",
    lambda n, w: f"{w}\n\n**Answer:** {n.prose}",
    lambda n, w: f"{w}\n\n**{n.prose}**",
    lambda n, w: f"{w} All in all this comes down to $\\boxed{{{n.text}}}$.",
    lambda n, w: f"{w}\n\\[\n\\boxed{{{n.text}}}\n\\]",
    lambda n, w: f"<think>Perhaps the answer is 99? No: {w}</think>\nFinal answer: {n.prose}",
    lambda n, w: f"{w}\n\n### Final answer\n\n{n.prose}",
    lambda n, w: f"{w}\nTherefore, the final answer is **{n.prose}**.",
    lambda n, _: f"The answer is {n.prose}, because nothing else fits.",
    lambda n, w: f"{w}\n\nSo the result is {n.prose}.\n\nI hope this helps!",
    lambda n, w: json.dumps({"reasoning": w, "answer": n.text}),
    lambda n, _: f"```json\n{json.dumps({'answer': n.text}, indent=2)}\n```",
    lambda n, w: f"{w}\n\n{n.prose}",
    lambda n, w: f"{w}\n\nmy answer = {n.prose}",
    lambda n, w: f"{w * 30}\n\nHence the correct answer is: {n.prose}",
    lambda n, w: f"I first took the answer to be 99, but that is a slip.\n{w}\nANSWER: {n.prose}",
)


def answer_sets(kind: str, count: int, seed: int, right: int = 3, of: int = 5) -> Iterator[AnswerSet]:
    """`count` sets of one kind, the same for the same seed."""
    chance = Random(f"{kind} {seed}")
    for _ in range(count):
        problem = KINDS[kind](chance)
        same_wrong = chance.random() < 0.5
        wrongs = [problem.wrong[0 if same_wrong else number % 2] for number in range(of - right)]
        tagged = [(chance.choice(notations), good) for notations, good in
                  [(problem.right, True)] * right + [(wrong, False) for wrong in wrongs]]  # fmt: skip
        chance.shuffle(tagged)
        answers = tuple(chance.choice(FRAMES)(notation, chance.choice(WORK)) for notation, _ in tagged)
        yield AnswerSet(kind, problem.question, answers, frozenset(i for i, (_, good) in enumerate(tagged) if good))
