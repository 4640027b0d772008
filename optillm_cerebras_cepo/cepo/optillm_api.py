"""Functions of the installed OptiLLM that the approach calls, and their configuration. `tests/host` pins each.

Nothing of OptiLLM is copied: prompts, the planning loop of one candidate and raters are its own, so better ones in a
newer OptiLLM are used at once.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from optillm.cepo.cepo import (
    CepoConfig,
    generate_approaches,
    generate_completion,
    rate_completions_absolute,
    rate_completions_pairwise,
)

from optillm_cerebras_cepo.settings.declaration import Settings

__all__ = [
    "configuration",
    "generate_approaches",
    "generate_completion",
    "rate_completions_absolute",
    "rate_completions_pairwise",
]


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
    config = CepoConfig(**{field.name: values[field.name] for field in dataclasses.fields(CepoConfig)})
    # OptiLLM's defect: settings_of_plan_diversity_do_not_exist
    for name in ("planning_max_tokens_step0", "planning_temperature_step0"):
        setattr(config, name, values[name])
    for name, value in changes.items():
        setattr(config, name, value)
    return config
