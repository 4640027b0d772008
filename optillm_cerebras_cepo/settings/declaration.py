"""Declaration of all settings of a request: name, type, range, default and description of each.

The same declaration applies to all sources: OptiLLM's CePO configuration, environment and request body. `loading.py`
reads them.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from optillm_cerebras_cepo.core.chat import Step
from optillm_cerebras_cepo.core.prices import prices_in

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

REASONING_EFFORTS = ("none", "low", "medium", "high")  # values of the API's `reasoning_effort`
SERVICE_TIERS = ("auto", "default", "flex", "priority")  # values of the API's `service_tier`
ANOTHER_FAMILY = "auto"  # as `rating_model`: the first listed model of another family than the one that answers


class StepParameters(NamedTuple):
    """Temperature (0..2) and token limit of a step's calls."""

    temperature: float
    max_tokens: int


class Settings(BaseModel):
    """Every setting, with OptiLLM's packaged defaults for its own fields (`tests/host` compares them)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    model: tuple[str, ...] = Field(default=("llama3.3-70b",), description="model, or several in order of preference")
    model_reasoning: str | None = Field(
        default=None,
        description="the model's own `reasoning_effort`: none, low, medium or high, or by step (`low,final=medium`);"
        " sent to models that take the value",
    )
    effort: Literal["none", "low", "medium", "high", "auto"] = Field(
        default="medium",
        description="how much work an answer is worth; `none` is one direct call, `medium` as configured",
    )
    deadline: Seconds = Field(default=600.0, description="seconds that a request may take")
    call_timeout: Seconds = Field(default=120.0, description="seconds that one call may take")
    min_tokens_per_second: float = Field(
        default=50.0, gt=0, description="a call with a slower reply is cancelled and retried"
    )
    service_tier: str | None = Field(
        default=None,
        description="the API's `service_tier`, for accounts that have it: auto, default, flex or priority, or by step"
        " (`rating=flex`)",
    )
    queue_threshold: Annotated[int, Field(ge=50, le=20_000)] | None = Field(
        default=None, description="milliseconds that a call of tier flex or auto may be queued; the API refuses others"
    )
    cache_keys: bool = Field(
        default=True, description="tell the API by a `prompt_cache_key` which calls have a prompt's beginning in common"
    )
    call_attempts: Few = Field(default=5, description="attempts of one call, including the first")
    hedged_calls: bool = Field(
        default=True, description="make a second call when one is later than usual; the first reply counts"
    )

    max_calls: Count | None = Field(default=None, description="most calls of a request, including retries")
    max_total_tokens: Count | None = Field(default=None, description="most tokens of a request, prompts and replies")
    max_cost: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="most US dollars of a request, reckoned as if replies and prompts cost the same"
    )
    prices: str | None = Field(
        default=None,
        description='JSON file of dollars per million tokens, such as `{"MODEL": {"prompt": 0.85, "completion": 1.2}}`',
    )

    concurrency: Count = Field(default=64, description="calls to one model at the same time")
    rpm: Count | None = Field(
        default=None, description="calls per minute to one model, in addition to the learned limits"
    )
    tpm: Count | None = Field(
        default=None, description="tokens per minute of one model, in addition to the learned limits"
    )
    redis_url: str | None = Field(
        default=None, description="Redis in which processes share their rate limits", repr=False
    )
    trace_dir: str | None = Field(default=None, description="folder to which each request's trace is written")
    trace_text: bool = Field(default=False, description="whether traces contain prompts and replies")
    locked: tuple[str, ...] = Field(
        default=(), description="settings that no request may change, such as `model,effort`"
    )
    max_bestofn_n: Count | None = Field(default=None, description="most candidates that a request may set")
    max_planning_m: Count | None = Field(default=None, description="most attempts per candidate that a request may set")
    progress: bool = Field(default=True, description="whether streams report progress as `reasoning_content`")
    live_trace: Literal["off", "numbers", "replies"] = Field(
        default="off", description="whether streams contain the trace as it grows, with each call's reply or without"
    )
    usage: Literal["total", "answer"] = Field(
        default="total", description="what a reply's `usage` counts: all calls, or only the one that wrote the answer"
    )
    fit_tokens: bool = Field(
        default=True, description="lower token limits to the usual length of replies; repeat a call that was cut"
    )

    bestofn_n: Few = Field(default=3, description="candidates per request")
    bestofn_temperature: Temperature = Field(default=0.1, description="temperature of ratings")
    bestofn_max_tokens: Tokens = Field(default=4096, description="token limit of ratings")
    # OptiLLM's defect: flags_of_ratings_are_refused
    bestofn_rating_type: Literal["absolute", "pairwise", "majority"] = Field(
        default="absolute", description="how the best candidate is chosen: by ratings, by comparing pairs, by vote"
    )
    rate_always: bool = Field(
        default=False, description="whether candidates are rated even if all have the same answer, as OptiLLM does"
    )
    auto_window: Annotated[int, Field(ge=2, le=100)] = Field(
        default=2, description="plans that `auto` makes first; if they agree, it makes no other"
    )
    planning_n: Few = Field(default=3, description="plans per candidate")
    planning_m: Few = Field(default=6, description="most attempts at plans per candidate")
    planning_temperature_step0: Temperature = Field(default=0.55, description="temperature of approaches")
    planning_temperature_step1: Temperature = Field(default=0.55, description="temperature of plans")
    planning_temperature_step2: Temperature = Field(default=0.25, description="temperature of solutions")
    planning_temperature_step3: Temperature = Field(default=0.1, description="temperature of reviews")
    planning_temperature_step4: Temperature = Field(default=0.0, description="temperature of final answers")
    planning_temperature_direct_resp: Temperature = Field(default=0.1, description="temperature of direct answers")
    planning_max_tokens_step0: Tokens = Field(default=4096, description="token limit of approaches")
    planning_max_tokens_step1: TokensOrOff = Field(default=4096, description="token limit of plans; 0 skips planning")
    planning_max_tokens_step2: Tokens = Field(default=4096, description="token limit of solutions")
    planning_max_tokens_step3: Tokens = Field(default=4096, description="token limit of reviews")
    planning_max_tokens_step4: TokensOrOff = Field(
        default=4096, description="token limit of final answers; 0 skips this step"
    )
    planning_max_tokens_direct_resp: Tokens = Field(default=4096, description="token limit of direct answers")
    use_plan_diversity: bool = Field(default=False, description="each candidate plans along a different approach")
    rating_model: str | None = Field(
        default=None,
        description="model for ratings; by default the model that answers; `auto`: the first of another family",
    )

    @property
    def writing_step(self) -> Step:
        """The step of a candidate that writes its answer: the last that is not switched off."""
        return Step.FINAL if self.planning_max_tokens_step4 else Step.REVIEW

    def reasoning(self, step: Step) -> str | None:
        """Return the value of `reasoning_effort` for a step; None if none is set."""
        return _of_step(self.model_reasoning, step)

    def tier(self, step: Step) -> str | None:
        """Return the value of `service_tier` for a step; None if none is set."""
        return _of_step(self.service_tier, step)

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

    @field_validator("model_reasoning")
    @classmethod
    def _known_reasoning(cls, value: str | None) -> str | None:
        return _checked_by_step(value, REASONING_EFFORTS)

    @field_validator("service_tier")
    @classmethod
    def _known_tier(cls, value: str | None) -> str | None:
        return _checked_by_step(value, SERVICE_TIERS)

    @field_validator("prices")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            prices_in(value)
        return value

    @field_validator("locked")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place, name in enumerate(value, 1):
            if name not in cls.model_fields:
                # A name may have been written as a variable or as a field of the body. It is not quoted: it may be a
                # secret that was set by mistake.
                written = name.lower().removeprefix("cepo_cerebras_")
                nearest = difflib.get_close_matches(written, cls.model_fields, n=1)
                raise ValueError(f"name {place} is no setting" + (f" (did you mean {nearest[0]}?)" if nearest else ""))
        return value

    @model_validator(mode="after")
    def _possible(self) -> Settings:
        values = vars(self)
        for name, cap in CAPS.items():
            if values[cap] is not None and values[name] > values[cap]:
                raise ValueError(f"{name} ({values[name]}) is beyond the operator's {cap} ({values[cap]})")
        if self.planning_m < self.planning_n:
            raise ValueError(f"planning_m ({self.planning_m}) must be at least planning_n ({self.planning_n})")
        return self


def _by_step(value: str | None) -> dict[str, str]:
    """Return the values of `low,final=medium` by step; that of all other steps under an empty name."""
    pairs = (part.strip().rpartition("=") for part in (value or "").split(",") if part.strip())
    return {step.strip(): chosen.strip() for step, _, chosen in pairs}


def _of_step(value: str | None, step: Step) -> str | None:
    if value is None:
        return None
    chosen = _by_step(value)
    return chosen.get(step.value, chosen.get(""))


def _checked_by_step(value: str | None, allowed: tuple[str, ...]) -> str | None:
    """Return the value. Raise ValueError if it names an unknown step or has a value that is not allowed."""
    for step, chosen in _by_step(value).items():
        if step and step not in {known.value for known in Step}:
            raise ValueError(f"names no step of {', '.join(known.value for known in Step)}")
        if chosen not in allowed:
            raise ValueError(f"must be {', '.join(allowed)}, or such a value for each step")
    return value
