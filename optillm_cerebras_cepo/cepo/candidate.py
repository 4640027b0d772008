"""One candidate: OptiLLM's plan, execute, review and final answer, called through the seam.

Nothing of OptiLLM is copied: prompts, the planning loop of one candidate and the raters (`judge.py`) are its own, so
better ones in a newer OptiLLM are used at once. `tests/host` pins each function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from optillm.cepo.cepo import CepoConfig, generate_approaches, generate_completion

from optillm_cerebras_cepo.cepo.seam import CandidateSeam, Seam
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.core.chat import Label, Listener, Step, Usage
from optillm_cerebras_cepo.core.errors import CepoError, ErrorScope, UnusableReply
from optillm_cerebras_cepo.settings.declaration import Settings


@dataclass(frozen=True)
class Candidate:
    """An answer that may be chosen."""

    number: int  # from 1
    answer: str = field(repr=False)  # the text for the client
    # Results of its plans, in the order in which they were finished.
    solutions: tuple[str, ...] = field(default=(), repr=False)
    reviewed: bool = True  # whether the solutions were reviewed; else the answer is made from the first
    finish_reason: str = "stop"  # why the answer ends: "stop", or the model's own reason where the client limited it
    usage: Usage = field(default_factory=Usage)  # tokens of the call that wrote the answer


def always(_: Sequence[str]) -> bool:
    """Return True: every set of solutions needs a review."""
    return True


def without_solution(solutions: Sequence[str]) -> bool:
    """Return False if there is a solution, which is then used without a review."""
    return not solutions


def make_candidate(
    caller: StepCaller,
    number: int,
    approach: str | None = None,
    needs_review: Callable[[Sequence[str]], bool] = always,
    listen: Callable[[CandidateSeam], Listener | None] = lambda _: None,
    window: int | None = None,
) -> Candidate:
    """Run OptiLLM's `generate_completion` once.

    Args:
        caller: calls the model.
        number: of the candidate, from 1.
        approach: what its plans follow; None for free plans.
        needs_review: returns whether these solutions need a review; without one the first is used.
        listen: returns the listener that receives the answer while it is written; called when that begins.
        window: number of solutions after which no other is made if they need no review; None: all are made.

    Raises:
        CepoError: the candidate has no answer; its scope says whether another one may have.

    """
    seam = CandidateSeam(caller, number, needs_review, listen, window)
    answer, _, _ = generate_completion(
        system_prompt=caller.request.question.system,
        task=caller.request.question.text,
        client=seam,
        model=caller.model.id,
        cepo_config=configuration(caller.request.settings, use_plan_diversity=approach is not None),
        approach=approach,
    )
    if not isinstance(answer, str) or not answer.strip():
        raise UnusableReply("every reply was empty or cut")
    return Candidate(number, answer, seam.solutions, seam.reviewed, seam.finish_reason, seam.usage)


def propose_approaches(caller: StepCaller, wanted: int) -> list[str]:
    """Return at most so many approaches from OptiLLM's `generate_approaches`.

    Raise a CepoError only if no candidate can be made either. Without approaches, candidates plan freely.
    """
    try:
        approaches, _ = generate_approaches(
            system_prompt=caller.request.question.system,
            initial_query=caller.request.question.text,
            num_approach=wanted,
            client=Seam(caller, Label(Step.APPROACHES, kind=str(wanted))),
            model=caller.model.id,
            cepo_config=configuration(caller.request.settings),
        )
    except CepoError as error:
        if error.scope is not ErrorScope.CALL:
            raise
        approaches = []
    except (AttributeError, TypeError, ValueError):  # JSON of another shape than OptiLLM reads (cepo.py:621)
        approaches = []
    usable = [approach for approach in approaches if isinstance(approach, str) and approach.strip()]
    if len(usable) < wanted:
        caller.tracker.degraded.add(f"approaches: {len(usable)} of {wanted} could be read")
    return usable


def approach_of(approaches: Sequence[str], number: int) -> str | None:
    """Return the approach of the candidate of this number. Where there are too few, candidates share them."""
    # OptiLLM's defect: too_few_approaches_are_a_crash
    return approaches[(number - 1) % len(approaches)] if approaches else None


def configuration(settings: Settings, **changes: Any) -> Any:
    """Return a new CepoConfig with these settings and changes; OptiLLM's functions may modify it.

    Reasoning and retries are off: which fields a model takes and when to try again is decided below the seam. The two
    settings of plan diversity, which CepoConfig lacks (cepo.py:605), are set beside its fields.
    """
    # OptiLLM's defect: a_request_changes_the_configuration_of_all
    values = settings.model_dump() | {
        "use_reasoning": False,
        "use_reasoning_fallback": False,
        "num_of_retries": 0,
        "print_output": False,
    }
    config = CepoConfig(**{field.name: values[field.name] for field in fields(CepoConfig)})
    # OptiLLM's defect: settings_of_plan_diversity_do_not_exist
    for name in ("planning_max_tokens_step0", "planning_temperature_step0"):
        setattr(config, name, values[name])
    for name, value in changes.items():
        setattr(config, name, value)
    return config
