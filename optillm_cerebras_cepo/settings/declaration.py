"""Declaration of all settings of a request: name, type, range, default and description of each.

The same declaration applies to all sources: OptiLLM's CePO configuration, environment and request body. `loading.py`
reads them.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from optillm_cerebras_cepo.core.chat import Step

# OptiLLM's numbers for the planning steps; a rating's fields are called bestofn_*.
_SUFFIX = {
    Step.APPROACHES: "step0",
    Step.PLAN: "step1",
    Step.EXECUTE: "step2",
    Step.REVIEW: "step3",
    Step.FINAL: "step4",
    Step.DIRECT: "direct_resp",
}

KEY_MARKS = ("csk-", "sk-")  # beginnings of API keys; no model's name begins like this

Temperature = Annotated[float, Field(ge=0, le=2)]
Tokens = Annotated[int, Field(ge=1)]
TokensOrOff = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
# More would not improve an answer, and each needs at least one thread while the request runs.
Few = Annotated[int, Field(ge=1, le=100)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]

# Settings with a cap, and the setting that is the cap. Plans share that of attempts: there are never more plans.
CAPS = {"bestofn_n": "max_bestofn_n", "planning_n": "max_planning_m", "planning_m": "max_planning_m"}


class StepParameters(NamedTuple):
    """Temperature (0..2) and token limit of a step's calls."""

    temperature: float
    max_tokens: int


class Settings(BaseModel):
    """Every setting, with OptiLLM's packaged defaults for its own fields (`tests/host` compares them)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    model: Annotated[tuple[str, ...], Field(description="model, or several in order of preference")] = ("llama3.3-70b",)
    effort: Annotated[
        Literal["none", "low", "medium", "high", "auto"],
        Field(description="how much work an answer is worth; `none` is one direct call, `medium` as configured"),
    ] = "medium"
    deadline: Annotated[Seconds, Field(description="seconds that a request may take")] = 600.0
    call_timeout: Annotated[Seconds, Field(description="seconds that one call may take")] = 120.0
    min_tokens_per_second: Annotated[
        float, Field(gt=0, description="a call with a slower reply is cancelled and retried")
    ] = 50.0
    call_attempts: Annotated[Few, Field(description="attempts of one call, including the first")] = 5

    max_calls: Annotated[Count | None, Field(description="most calls of a request, including retries")] = None
    max_total_tokens: Annotated[Count | None, Field(description="most tokens of a request, prompts and replies")] = None

    concurrency: Annotated[Count, Field(description="calls to one model at the same time")] = 64
    rpm: Annotated[
        Count | None, Field(description="calls per minute to one model, in addition to the learned limits")
    ] = None
    tpm: Annotated[
        Count | None, Field(description="tokens per minute of one model, in addition to the learned limits")
    ] = None
    redis_url: Annotated[
        str | None, Field(description="Redis in which processes share their rate limits", repr=False)
    ] = None
    locked: Annotated[
        tuple[str, ...],
        Field(description="settings that no request may change, such as `model,effort`"),
    ] = ()
    max_bestofn_n: Annotated[Count | None, Field(description="most candidates that a request may set")] = None
    max_planning_m: Annotated[Count | None, Field(description="most attempts per candidate that a request may set")] = (
        None
    )
    progress: Annotated[bool, Field(description="whether streams report progress as `reasoning_content`")] = True
    usage: Annotated[
        Literal["total", "answer"],
        Field(description="what a reply's `usage` counts: all calls, or only the one that wrote the answer"),
    ] = "total"
    fit_tokens: Annotated[
        bool, Field(description="lower token limits to the usual length of replies; repeat a call that was cut")
    ] = True

    bestofn_n: Annotated[Few, Field(description="candidates per request")] = 3
    bestofn_temperature: Annotated[Temperature, Field(description="temperature of ratings")] = 0.1
    bestofn_max_tokens: Annotated[Tokens, Field(description="token limit of ratings")] = 4096
    # OptiLLM's defect: flags_of_ratings_are_refused
    bestofn_rating_type: Annotated[
        Literal["absolute", "pairwise", "majority"],
        Field(description="how the best candidate is chosen: by ratings, by comparing pairs, by vote"),
    ] = "absolute"
    planning_n: Annotated[Few, Field(description="plans per candidate")] = 3
    planning_m: Annotated[Few, Field(description="most attempts at plans per candidate")] = 6
    planning_temperature_step0: Annotated[Temperature, Field(description="temperature of approaches")] = 0.55
    planning_temperature_step1: Annotated[Temperature, Field(description="temperature of plans")] = 0.55
    planning_temperature_step2: Annotated[Temperature, Field(description="temperature of solutions")] = 0.25
    planning_temperature_step3: Annotated[Temperature, Field(description="temperature of reviews")] = 0.1
    planning_temperature_step4: Annotated[Temperature, Field(description="temperature of final answers")] = 0.0
    planning_temperature_direct_resp: Annotated[Temperature, Field(description="temperature of direct answers")] = 0.1
    planning_max_tokens_step0: Annotated[Tokens, Field(description="token limit of approaches")] = 4096
    planning_max_tokens_step1: Annotated[TokensOrOff, Field(description="token limit of plans; 0 skips planning")] = (
        4096
    )
    planning_max_tokens_step2: Annotated[Tokens, Field(description="token limit of solutions")] = 4096
    planning_max_tokens_step3: Annotated[Tokens, Field(description="token limit of reviews")] = 4096
    planning_max_tokens_step4: Annotated[
        TokensOrOff, Field(description="token limit of final answers; 0 skips this step")
    ] = 4096
    planning_max_tokens_direct_resp: Annotated[Tokens, Field(description="token limit of direct answers")] = 4096
    use_plan_diversity: Annotated[bool, Field(description="each candidate plans along a different approach")] = False
    rating_model: Annotated[str | None, Field(description="model for ratings; by default the model that answers")] = (
        None
    )

    @property
    def writing_step(self) -> Step:
        """The step of a candidate that writes its answer: the last that is not switched off."""
        return Step.FINAL if self.planning_max_tokens_step4 else Step.REVIEW

    def limits(self, step: Step) -> StepParameters:
        """Return a step's temperature and token limit. A repair has those of the step that writes the answer."""
        suffix = _SUFFIX.get(self.writing_step if step is Step.REPAIR else step)
        if suffix is None:
            return StepParameters(self.bestofn_temperature, self.bestofn_max_tokens)
        return StepParameters(
            getattr(self, f"planning_temperature_{suffix}"), getattr(self, f"planning_max_tokens_{suffix}")
        )

    @field_validator("model", "locked", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value

    @field_validator("model")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(value):
            raise ValueError("must name a model, or several separated by commas")
        return value

    @field_validator("model", "rating_model")
    @classmethod
    def _no_key(cls, value: tuple[str, ...] | str | None) -> tuple[str, ...] | str | None:
        # The error for a model that is not served quotes its name.
        names = (value,) if isinstance(value, str) else value or ()
        if any(name.lower().startswith(KEY_MARKS) for name in names):
            raise ValueError("must name a model, and this looks like a key")
        return value

    @field_validator("locked")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        check_locked(value, cls.model_fields)
        return value

    @model_validator(mode="after")
    def _possible(self) -> Settings:
        check_caps(vars(self))
        if self.planning_m < self.planning_n:
            raise ValueError(f"planning_m ({self.planning_m}) must be at least planning_n ({self.planning_n})")
        return self


def check_locked(locked: Iterable[str], known: Collection[str]) -> None:
    """Raise ValueError for the first locked name that is no setting.

    The message has its position, counted from 1, and not the name, which may be a secret that was set by mistake.
    """
    for place, name in enumerate(locked, 1):
        if name not in known:
            # A name may have been written as a variable or as a field of the body.
            nearest = difflib.get_close_matches(name.lower().removeprefix("cepo_cerebras_"), known, n=1)
            raise ValueError(f"name {place} is no setting" + (f" (did you mean {nearest[0]}?)" if nearest else ""))


def check_caps(values: Mapping[str, Any]) -> None:
    """Raise ValueError for the first setting above its cap."""
    for name, cap in CAPS.items():
        if values[cap] is not None and values[name] > values[cap]:
            raise ValueError(f"{name} ({values[name]}) is beyond the operator's {cap} ({values[cap]})")
