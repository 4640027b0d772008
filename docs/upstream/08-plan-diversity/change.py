"""Add the settings that plan diversity reads, and use whatever approaches a reply contains."""

from __future__ import annotations

from checkout import Checkout

APPROACHES, PLAN = "generate_approaches", "generate_completion.generate_single_plan"
CONFIGS = ("cepo_config", "cepo_config_gptoss", "cepo_config_qwen3")

FIELDS = """\
planning_temperature_step0: float = 0.55  # temperature for generator of approaches, if plan diversity is used
planning_max_tokens_step0: int = 4096  # maximum number of tokens for generator of approaches, if so
"""

ROWS = {
    "temperature": "Temperature for generator of approaches, when plan diversity is used | 0.55",
    "max_tokens": "Maximum number of tokens for generator of approaches, when plan diversity is used | 4096",
}

READER = r'''

def parse_approaches(text: Optional[str]) -> list[str]:
    """
    Return the approaches in a reply: the strings of its JSON object, however many there are.

    What no JSON parser takes is read as well: an object that was cut, and LaTeX commands in its strings.

    Raises:
        ValueError: There is none.
    """
    values = re.findall(r'"\s*:\s*"((?:[^"\\]|\\.)*)"', text or "", re.DOTALL)
    approaches = [value.replace('\\"', '"').replace("\\\\", "\\").strip() for value in values]
    approaches = [approach for approach in approaches if approach]
    if not approaches:
        raise ValueError("The reply has no approaches")
    return approaches


'''

ASK = """
response, _, tokens_used = llm_call(
    client=client,
    provider_request=provider_request,
    cepo_config=cepo_config
)
"""

READ = """
# Use as many approaches as there are
approaches = parse_approaches(response)
"""


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py, its configurations and README.md."""
    source = checkout.source("optillm/cepo/cepo.py")
    source.add_after("CepoConfig", "print_output: ", FIELDS)
    for name, row in ROWS.items():
        for config in CONFIGS:
            step1 = rf"^planning_{name}_step1: (.*)$"
            checkout.sub(f"optillm/cepo/configs/{config}.yaml", step1, rf"planning_{name}_step0: \1\n\g<0>")
        step0 = rf"| `--cepo_planning_{name}_step0` | {row} |\n\g<0>"
        checkout.sub("README.md", rf"^\| `--cepo_planning_{name}_step1` .*$", step0)

    source.add_before(APPROACHES, READER)
    source.sub(APPROACHES, r'^ +"stream": False,\n', "")  # `llm_call` sets it
    source.replace(APPROACHES, r"response = client\.", ASK)
    source.sub(APPROACHES, r"completion_tokens \+= .*", "completion_tokens += tokens_used")
    source.remove(APPROACHES, "completion = ")
    source.replace(APPROACHES, "cleaned_completion = ", READ)
    source.remove(APPROACHES, r"for _, value in json\.")
    source.sub(APPROACHES, r"json\.JSONDecodeError", "ValueError")
    source.sub(APPROACHES, r"return \[\], 0", "return [], completion_tokens")
    source.sub("", r"^import json\n", "")
    source.expect("", r"\bjson\.", times=0)

    # If there are fewer approaches than completions, they share them; if there are none, they plan without.
    source.sub("generate_n_completions", r"approaches\[i\]", "approaches[i % len(approaches)]")
    source.remove(PLAN, "assert ", times=2)
    source.sub(PLAN, r"cepo_config\.use_plan_diversity", "approach")
