"""Send CePO's reasoning effort and its "/think" only to models that have them, unless the configuration says more."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Source, Unexpected, dotted

FALLBACK, COMPLETION = "llm_call_reason_effort_fallback", "generate_completion"
SWITCH = " /think"

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
    source.edit(
        "CepoConfig",
        m.SimpleStatementLine([m.AnnAssign(target=m.Name("use_reasoning"))]),
        lambda line: line.with_changes(trailing_whitespace=_comment(FIELD)),
    )
    source.edit(
        FALLBACK,
        m.If(test=dotted("cepo_config.use_reasoning")),  # type: ignore[arg-type]
        lambda line: line.with_changes(
            test=source.expression('takes_reasoning_effort(provider_request["model"], cepo_config)')
        ),
    )
    source.insert_before(FALLBACK, MODELS)

    # The execution of a plan, or without one; the review; the final answer. One of them is no f-string.
    formatted = m.FormattedString(parts=[m.ZeroOrMore(), m.FormattedStringText(m.MatchIfTrue(_switched))])
    plain = m.SimpleString(m.MatchIfTrue(lambda text: _switched(text.strip('"'))))
    source.edit(COMPLETION, formatted, _chosen, times=3)
    source.edit(COMPLETION, plain, lambda string: _chosen(_formatted(source, string)))
    source.begin(COMPLETION, f'think = "{SWITCH}" if THINK_SWITCH.search(model) else ""\n')

    checkout.rewrite("optillm/cepo/configs/cepo_config.yaml", r"^use_reasoning: True$", "use_reasoning: null")
    checkout.rewrite("README.md", r"^\| `--cepo_use_reasoning_fallback` \|", ROW)


def _switched(text: str) -> bool:
    return text.endswith(SWITCH)


def _chosen(string: cst.FormattedString) -> cst.FormattedString:
    """Return a prompt that ends with the switch only where there is one."""
    *others, last = string.parts
    text = cst.ensure_type(last, cst.FormattedStringText).value.removesuffix(SWITCH)
    kept = [cst.FormattedStringText(text)] if text else []
    return string.with_changes(parts=[*others, *kept, cst.FormattedStringExpression(cst.Name("think"))])


def _formatted(source: Source, string: cst.SimpleString) -> cst.FormattedString:
    """Return the same text as an f-string."""
    if set(string.raw_value) & set("{}"):
        raise Unexpected(f"{COMPLETION}: a prompt with braces")
    return cst.ensure_type(source.expression(f"f{string.value}"), cst.FormattedString)


def _comment(text: str) -> cst.TrailingWhitespace:
    blank = text[: -len(text.lstrip())]
    return cst.TrailingWhitespace(cst.SimpleWhitespace(blank), cst.Comment(text.lstrip()))
