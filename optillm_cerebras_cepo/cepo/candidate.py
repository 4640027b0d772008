"""One candidate: OptiLLM's plan, execute, review and final answer, through the seam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from optillm_cerebras_cepo.cepo import upstream
from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.seam import CandidateSeam, Seam
from optillm_cerebras_cepo.chat import Label, Listener, Step
from optillm_cerebras_cepo.errors import CepoError, Ends, UnusableReply


@dataclass(frozen=True)
class Candidate:
    """An answer that may be chosen.

    Attributes:
        number: counts from 1.
        answer: the text for the client.
        solutions: what its plans came to, in the order in which they did.
        reviewed: whether the solutions were reviewed; else the answer is that of the first.
        finish_reason: why the answer ends: "stop", or the model's own where the client limited it.

    """

    number: int
    answer: str = field(repr=False)
    solutions: tuple[str, ...] = field(default=(), repr=False)
    reviewed: bool = True
    finish_reason: str = "stop"


def always(_: Sequence[str]) -> bool:
    """Review whatever the solutions are."""
    return True


def never(solutions: Sequence[str]) -> bool:
    """Take the first solution as it is, if there is one."""
    return not solutions


def make_candidate(
    asker: Asker,
    number: int,
    approach: str | None = None,
    review: Callable[[Sequence[str]], bool] = always,
    listen: Callable[[CandidateSeam], Listener | None] = lambda _: None,
) -> Candidate:
    """Run OptiLLM's `generate_completion` once.

    Args:
        asker: the way to the model.
        number: the candidate's, from 1.
        approach: what its plans are to follow, if anything.
        review: whether solutions need one; without it the final answer is made from the first solution.
        listen: who hears the answer while it is written; asked when that begins.

    Raises:
        CepoError: the candidate has no answer; its `ends` says whether another one may have.

    """
    seam = CandidateSeam(asker, number, review, listen)
    answer, _, _ = upstream.generate_completion(
        system_prompt=asker.question.system,
        task=asker.question.text,
        client=seam,
        model=asker.model,
        cepo_config=upstream.configuration(asker.settings, use_plan_diversity=approach is not None),
        approach=approach,
    )
    if not isinstance(answer, str) or not answer.strip():
        raise UnusableReply("every reply was empty or cut")
    return Candidate(number, answer, seam.solutions, seam.reviewed, seam.finish_reason)


def propose_approaches(asker: Asker, wanted: int) -> list[str]:
    """Ask for so many approaches by OptiLLM's `generate_approaches`; fewer, or none, are returned when it gets no more.

    Raises a CepoError only where no candidate could be made either: without approaches the candidates plan freely.
    """
    try:
        approaches, _ = upstream.generate_approaches(
            system_prompt=asker.question.system,
            initial_query=asker.question.text,
            num_approach=wanted,
            client=Seam(asker, Label(Step.APPROACHES, kind=str(wanted))),
            model=asker.model,
            cepo_config=upstream.configuration(asker.settings),
        )
    except CepoError as error:
        if error.ends is not Ends.CALL:
            raise
        approaches = []
    except (AttributeError, TypeError, ValueError):  # JSON of another shape than OptiLLM reads (cepo.py:621)
        approaches = []
    usable = [approach for approach in approaches if isinstance(approach, str) and approach.strip()]
    if len(usable) < wanted:
        asker.degraded.add(f"approaches: {len(usable)} of {wanted} could be read")
    return usable


def approach_of(approaches: Sequence[str], number: int) -> str | None:
    """The candidate's approach. Where there are fewer than candidates, they share them."""
    # OptiLLM's defect: too_few_approaches_are_a_crash
    return approaches[(number - 1) % len(approaches)] if approaches else None
