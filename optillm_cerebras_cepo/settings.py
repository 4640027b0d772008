"""What one request runs with: frozen, typed, and every unknown name refused with the nearest known one.

Later sources win: these defaults < OptiLLM's CePO configuration (YAML file, then `--cepo_*` flags) < the preset of the
effort < environment (`CEPO_CEREBRAS_<NAME>`) < request body (`cepo_cerebras_<name>`). One declaration serves them all,
so a setting is documented, checked and spelled in one place: here. What the operator locks or caps, no request changes
(`bounds`).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from optillm_cerebras_cepo.bounds import BUDGETS, check_budget, check_caps, check_locked, unchanged, within
from optillm_cerebras_cepo.chat import Step
from optillm_cerebras_cepo.errors import BadConfiguration, BadRequest

ENVIRONMENT = "CEPO_CEREBRAS_"
BODY = "cepo_cerebras_"

# Fields of OptiLLM's CepoConfig that have no meaning here: what they steer is decided by the table of models, by the
# retry policy and by logging. They are read from its file, and go no further.
HOST_ONLY = frozenset({"use_reasoning", "use_reasoning_fallback", "num_of_retries", "print_output"})

# What an effort makes of the configuration file's numbers; the environment's and the request's own stand.
PRESETS: Mapping[str, Mapping[str, int]] = {
    "low": {"bestofn_n": 1, "planning_n": 2, "planning_m": 3},
    "high": {"bestofn_n": 5, "planning_n": 3, "planning_m": 6},
}
# A client's `reasoning_effort` (OpenAI's values) as an effort.
REASONING = {"none": "none", "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}

# OptiLLM's numbers for the planning steps; a rating's fields are called bestofn_*.
_SUFFIX = {
    Step.APPROACHES: "step0",
    Step.PLAN: "step1",
    Step.EXECUTE: "step2",
    Step.REVIEW: "step3",
    Step.FINAL: "step4",
    Step.DIRECT: "direct_resp",
}

# What concerns all requests is not one request's to say, nor what it may say.
OPERATORS = frozenset({"concurrency", "rpm", "tpm", "redis_url", "locked", "max_bestofn_n", "max_planning_m"})

KEY_MARKS = ("csk-", "sk-")  # how keys begin, of Cerebras and of others; no model's name does

Temperature = Annotated[float, Field(ge=0, le=2)]
Tokens = Annotated[int, Field(ge=1)]
TokensOrOff = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
# Far beyond what helps an answer: each is a thread at least, for as long as the request takes.
Few = Annotated[int, Field(ge=1, le=100)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class StepLimits(NamedTuple):
    """What a step's calls are made with: temperature 0..2, and the most tokens of a reply."""

    temperature: float
    max_tokens: int


class Settings(BaseModel):
    """Every setting, with OptiLLM's packaged defaults for its own fields (`tests/host` compares them)."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    model: Annotated[tuple[str, ...], Field(description="model to use, or several in order of preference")] = (
        "llama3.3-70b",
    )
    effort: Annotated[
        Literal["none", "low", "medium", "high", "auto"],
        Field(description="`none` (one direct call), `low`, `medium` (as configured), `high`, `auto` (as needed)"),
    ] = "medium"
    deadline: Annotated[Seconds, Field(description="seconds a request may take")] = 600.0
    call_timeout: Annotated[Seconds, Field(description="seconds one call may take")] = 120.0
    min_tokens_per_second: Annotated[float, Field(gt=0, description="a reply slower than this is given up")] = 50.0
    call_attempts: Annotated[Few, Field(description="tries of one call, the first included")] = 5

    max_calls: Annotated[Count | None, Field(description="most calls of a request, tries included")] = None
    max_total_tokens: Annotated[Count | None, Field(description="most tokens of a request, prompts included")] = None

    concurrency: Annotated[Count, Field(description="calls to a model at once; set by the operator only")] = 64
    rpm: Annotated[
        Count | None, Field(description="calls to a model a minute; set by the operator only; the API's own are learnt")
    ] = None
    tpm: Annotated[Count | None, Field(description="tokens of a model a minute; set by the operator only")] = None
    redis_url: Annotated[
        str | None,
        Field(description="a Redis where processes share their pace; set by the operator only", repr=False),
    ] = None
    locked: Annotated[
        tuple[str, ...],
        Field(description="settings that no request changes, such as `model,effort`; set by the operator only"),
    ] = ()
    max_bestofn_n: Annotated[Count | None, Field(description="most candidates; set by the operator only")] = None
    max_planning_m: Annotated[
        Count | None, Field(description="most attempts at plans of a candidate; set by the operator only")
    ] = None
    progress: Annotated[bool, Field(description="streams tell how it goes on, as `reasoning_content`")] = True
    fit_tokens: Annotated[
        bool, Field(description="ask for the tokens that replies take, and for the whole limit only when one is cut")
    ] = True

    bestofn_n: Annotated[Few, Field(description="candidates")] = 3
    bestofn_temperature: Annotated[Temperature, Field(description="temperature of a rating")] = 0.1
    bestofn_max_tokens: Annotated[Tokens, Field(description="token limit of a rating")] = 4096
    # OptiLLM's defect: flags_of_ratings_are_refused
    bestofn_rating_type: Annotated[
        Literal["absolute", "pairwise", "majority"], Field(description="how the best candidate is found")
    ] = "absolute"
    planning_n: Annotated[Few, Field(description="plans that a candidate needs")] = 3
    planning_m: Annotated[Few, Field(description="attempts at getting them")] = 6
    planning_temperature_step0: Annotated[Temperature, Field(description="temperature: approaches")] = 0.55
    planning_temperature_step1: Annotated[Temperature, Field(description="temperature: plan")] = 0.55
    planning_temperature_step2: Annotated[Temperature, Field(description="temperature: execute")] = 0.25
    planning_temperature_step3: Annotated[Temperature, Field(description="temperature: review")] = 0.1
    planning_temperature_step4: Annotated[Temperature, Field(description="temperature: final answer")] = 0.0
    planning_temperature_direct_resp: Annotated[Temperature, Field(description="temperature: direct answer")] = 0.1
    planning_max_tokens_step0: Annotated[Tokens, Field(description="token limit: approaches")] = 4096
    planning_max_tokens_step1: Annotated[TokensOrOff, Field(description="token limit: plan; 0 skips planning")] = 4096
    planning_max_tokens_step2: Annotated[Tokens, Field(description="token limit: execute")] = 4096
    planning_max_tokens_step3: Annotated[Tokens, Field(description="token limit: review")] = 4096
    planning_max_tokens_step4: Annotated[TokensOrOff, Field(description="token limit: final; 0 skips it")] = 4096
    planning_max_tokens_direct_resp: Annotated[Tokens, Field(description="token limit: direct answer")] = 4096
    use_plan_diversity: Annotated[bool, Field(description="each candidate plans along an approach of its own")] = False
    rating_model: Annotated[str | None, Field(description="model for ratings; the pinned one when unset")] = None

    @property
    def writing_step(self) -> Step:
        """The step of a candidate that writes its answer: the last that is not switched off."""
        return Step.FINAL if self.planning_max_tokens_step4 else Step.REVIEW

    def limits(self, step: Step) -> StepLimits:
        """The step's own temperature and token limit, under OptiLLM's names for them."""
        suffix = _SUFFIX.get(self.writing_step if step is Step.REPAIR else step)
        if suffix is None:
            return StepLimits(self.bestofn_temperature, self.bestofn_max_tokens)
        return StepLimits(
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
        # A model that is not served is told to the client by its name.
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


def load(base: Mapping[str, Any], environ: Mapping[str, str], body: Mapping[str, Any]) -> Settings:
    """Settle the settings of one request.

    Args:
        base: OptiLLM's CePO configuration, by field name.
        environ: the process's environment; other variables are left alone.
        body: the request's fields; others are left alone.

    Raises:
        BadConfiguration: the base or the environment cannot work (the operator's to mend).
        BadRequest: the body's fields cannot work (the client's), with the field as `param`.

    """
    configured = {name: value for name, value in base.items() if name not in HOST_ONLY}
    refuse_unknown(configured, Settings.model_fields, "the CePO configuration")
    # Their values only: os.environ decodes each that it is asked for.
    names = {name.removeprefix(ENVIRONMENT).lower(): environ[name] for name in environ if name.startswith(ENVIRONMENT)}
    refuse_unknown(names, Settings.model_fields, "the environment", spell=lambda name: ENVIRONMENT + name.upper())
    standing = _configured(configured, names)
    wanted = {name.removeprefix(BODY): value for name, value in body.items() if name.startswith(BODY)}
    if unknown := _unknown(wanted, Settings.model_fields, lambda name: BODY + name):
        raise BadRequest(f"unknown field {unknown[1]}", param=unknown[0])
    for name, value in wanted.items():
        if name in OPERATORS:
            raise BadRequest(f"{BODY + name} is set by the operator only", param=BODY + name)
        if name in standing.locked:
            raise BadRequest(f"{BODY + name} is locked by the operator", param=BODY + name)
        _check_kind(name, value)
        _check_raised(name, getattr(standing, name), value)
    if body.get("reasoning_effort") is not None and "effort" not in standing.locked:
        # A client's word for how much to think. It steers the plan and never travels to the model. Where the effort is
        # locked it is ignored, for many clients send it by default.
        wanted = {"effort": _effort_of(body["reasoning_effort"])} | wanted
    # What is locked stays as the operator's own effort has it: no other effort's preset changes it.
    own = {**vars(standing), **within(PRESETS.get(standing.effort, {}), vars(standing), names)}
    kept = {name: own[name] for name in unchanged(standing.locked)}
    preset = within(PRESETS.get(str(wanted.get("effort", standing.effort)), {}), own, names.keys() | kept.keys())
    try:
        return Settings.model_validate({**configured, **preset, **names, **kept, **wanted})
    except ValidationError as error:
        name, reason = _first(error, wanted)
        raise BadRequest(f"{BODY + name}: {reason}", param=BODY + name) from None


def _check_kind(name: str, value: object) -> None:
    """Tell JSON's kinds apart, which the environment's texts have not."""
    default = Settings.model_fields[name].default
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise BadRequest(f"{BODY + name} must be true or false", param=BODY + name)
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if (isinstance(default, int | float) or name in BUDGETS) and not number:
        raise BadRequest(f"{BODY + name} must be a number", param=BODY + name)


def _check_raised(name: str, own: object, value: object) -> None:
    try:
        check_budget(name, own, value)
    except ValueError as error:
        raise BadRequest(f"{BODY + name}: {error}", param=BODY + name) from None


def _effort_of(reasoning: object) -> str:
    if isinstance(reasoning, str) and reasoning in REASONING:
        return REASONING[reasoning]
    raise BadRequest(f"reasoning_effort must be one of {', '.join(REASONING)}", param="reasoning_effort")


def refuse_unknown(
    given: Iterable[str], known: Collection[str], where: str, *, spell: Any = str, missing: Iterable[str] = ()
) -> None:
    """Raise BadConfiguration for a name that nobody knows, or that is missing, with the nearest known one."""
    if unknown := _unknown(given, known, spell):
        raise BadConfiguration(f"unknown field in {where}: {unknown[1]}", param=unknown[0])
    for name in missing:
        raise BadConfiguration(f"missing field in {where}: {name}", param=name)


def _unknown(given: Iterable[str], known: Collection[str], spell: Any) -> tuple[str, str] | None:
    for name in given:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1)
            return spell(name), spell(name) + (f" (did you mean {spell(nearest[0])}?)" if nearest else "")
    return None


def _configured(configured: Mapping[str, Any], names: Mapping[str, Any]) -> Settings:
    """What holds without a request; its presets are not looked at, for they go with the effort that a request has."""
    values = {**configured, **names}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        name, reason = _first(error, values)
        where = f"{ENVIRONMENT}{name.upper()}" if name in names else f"the CePO configuration's {name}"
        raise BadConfiguration(f"{where}: {reason}", param=name) from None


def _first(error: ValidationError, given: Iterable[str]) -> tuple[str, str]:
    """The field at fault and why. A fault between two fields is put down to the one that was given last."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    if first["loc"]:
        return str(first["loc"][0]), reason[:1].lower() + reason[1:]
    return next((name for name in reversed(list(given)) if name in reason.split()), "planning_m"), reason
