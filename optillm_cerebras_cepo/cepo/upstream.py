"""What we call of the installed OptiLLM, and the configuration that it wants. `tests/host` pins each of these.

Nothing of it is copied: the prompts, the planning loop of one candidate and the raters are OptiLLM's own, so an
OptiLLM with better ones makes this approach better too.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from optillm.cepo.cepo import (
    CepoConfig,
    generate_approaches,
    generate_completion,
    rate_completions_absolute,
    rate_completions_majority,
    rate_completions_pairwise,
)

from optillm_cerebras_cepo.settings import Settings

__all__ = [
    "configuration",
    "generate_approaches",
    "generate_completion",
    "rate_completions_absolute",
    "rate_completions_majority",
    "rate_completions_pairwise",
]


def configuration(settings: Settings, **changes: Any) -> Any:
    """OptiLLM's CepoConfig for these settings, a new one for each caller, because its functions may change it.

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
    config = CepoConfig(**{field.name: values[field.name] for field in dataclasses.fields(CepoConfig)})
    # OptiLLM's defect: settings_of_plan_diversity_do_not_exist
    for name in ("planning_max_tokens_step0", "planning_temperature_step0"):
        setattr(config, name, values[name])
    for name, value in changes.items():
        setattr(config, name, value)
    return config
