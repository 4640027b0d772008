"""Send CePO's reasoning effort and "/think" only to models that support them, unless configured otherwise."""

from __future__ import annotations

from checkout import Checkout

FALLBACK, COMPLETION = "llm_call_reason_effort_fallback", "generate_completion"

MODELS = '''

# Models that refuse the reasoning effort parameter: Llama, and whatever is tuned to answer without reasoning
NO_REASONING_EFFORT = re.compile(r"\\bllama|\\binstruct\\b", re.IGNORECASE)

# Models that read a switch for thinking in the prompt: Qwen3, but neither its later editions nor Qwen3.5
THINK_SWITCH = re.compile(r"qwen-?3(?![.\\d]|.*2507)", re.IGNORECASE)


def takes_reasoning_effort(model: str, cepo_config: CepoConfig) -> bool:
    """
    Decide whether a model is sent a reasoning effort: as configured, or by its name where `use_reasoning` is not set.

    Args:
        model (str): The model name.
        cepo_config (CepoConfig): Whether reasoning is switched on or off, or neither.

    Returns:
        bool: True unless reasoning is switched off, or the model is known to refuse the parameter.
    """
    if cepo_config.use_reasoning is not None:
        return cepo_config.use_reasoning
    return not NO_REASONING_EFFORT.search(model)


'''

FIELD = "  # whether to set the reasoning effort parameter, None to go by the model's name"

ROW = (
    r"| `--cepo_use_reasoning` | Whether to set the reasoning effort parameter; unset, all models get it but those that"
    r" are known to refuse it | `None` |\n\g<0>"
)


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py, the default configuration and the table of parameters."""
    source = checkout.source("optillm/cepo/cepo.py")
    source.sub("CepoConfig", r"(use_reasoning: bool) #.*", rf"\1{FIELD}")
    takes = 'if takes_reasoning_effort(provider_request["model"], cepo_config):'
    source.sub(FALLBACK, r"if cepo_config\.use_reasoning:", takes)
    source.add_before(FALLBACK, MODELS)

    # The prompts of the execution with and without a plan, the review and the final answer. One is no f-string.
    source.sub(COMPLETION, r'(?<!f)("[^"{}]*) /think"', r'f\1 /think"')
    source.sub(COMPLETION, ' /think"', '{think}"', times=4)
    source.begin(COMPLETION, 'think = " /think" if THINK_SWITCH.search(model) else ""\n')

    checkout.sub("optillm/cepo/configs/cepo_config.yaml", "^use_reasoning: True$", "use_reasoning: null")
    checkout.sub("README.md", r"^\| `--cepo_use_reasoning_fallback` \|", ROW)
