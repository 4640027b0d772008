"""Defect of OptiLLM's majority vote."""

from __future__ import annotations

from random import Random

from optillm.cepo.cepo import rate_completions_majority
from support.answer_notations import KINDS, Notation
from support.defects import defect

OF_EACH_KIND = 20


def readable(notations: list[Notation]) -> list[Notation]:
    """Those in LaTeX that math_verify reads: all but thousands set off by spaces."""
    return [notation for notation in notations if notation.latex and "\\," not in notation.text]


@defect
def test_votes_go_by_the_first_letter() -> None:
    """Of five candidates, three of them right, a right one, in whatever LaTeX they have written it."""
    for kind in ("number", "expression", "brackets"):
        chance = Random(kind)
        for _ in range(OF_EACH_KIND):
            problem = KINDS[kind](chance)
            right, wrong = (readable(notations) for notations in (problem.right, problem.wrong[0]))
            tagged = [(chance.choice(right), True) for _ in range(3)] + [(chance.choice(wrong), False)] * 2
            chance.shuffle(tagged)
            boxed = [f"So it comes down to $\\boxed{{{notation.text}}}$." for notation, _ in tagged]
            answers = [f"{number}. {text}" for number, text in enumerate(boxed, 1)]
            chosen, _ = rate_completions_majority(answers)
            assert tagged[answers.index(chosen)][1], answers
