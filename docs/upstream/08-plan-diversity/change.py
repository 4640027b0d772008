"""Give plan diversity the settings that it reads, and let it work with whatever approaches a reply has."""

from __future__ import annotations

from typing import Any

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Unexpected, assignment, call, dotted, within

APPROACHES, PLAN = "generate_approaches", "generate_completion.generate_single_plan"
CONFIGS = ("cepo_config", "cepo_config_gptoss", "cepo_config_qwen3")

FIELDS = """
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
    last = m.SimpleStatementLine([m.AnnAssign(target=m.Name("print_output"))])
    source.edit("CepoConfig", last, lambda line: [line, *source.statements(FIELDS.strip())])
    for name, row in ROWS.items():
        for config in CONFIGS:
            step1 = rf"^planning_{name}_step1: (.*)$"
            checkout.rewrite(f"optillm/cepo/configs/{config}.yaml", step1, rf"planning_{name}_step0: \1\n\g<0>")
        step0 = rf"| `--cepo_planning_{name}_step0` | {row} |\n\g<0>"
        checkout.rewrite("README.md", rf"^\| `--cepo_planning_{name}_step1` .*$", step0)

    source.insert_before(APPROACHES, READER)
    source.edit(APPROACHES, assignment("provider_request", m.Dict()), _unstreamed)  # `llm_call` says that itself
    source.edit(
        APPROACHES, assignment("response", call("client.chat.completions.create")), lambda _: source.statements(ASK)
    )
    source.edit(
        APPROACHES,
        m.AugAssign(target=m.Name("completion_tokens")),
        lambda line: line.with_changes(value=cst.Name("tokens_used")),
    )
    source.edit(APPROACHES, assignment("completion"), lambda _: [])
    source.edit(APPROACHES, assignment("cleaned_completion"), lambda _: source.statements(READ))
    source.edit(APPROACHES, m.For(iter=within(dotted("json.loads"))), lambda _: [])
    source.edit(APPROACHES, m.ExceptHandler(type=dotted("json.JSONDecodeError")), _of_value)
    nothing = m.Return(m.Tuple([m.Element(m.List([])), m.Element(m.Integer("0"))]))
    source.edit(APPROACHES, nothing, lambda line: line.with_changes(value=source.expression("[], completion_tokens")))
    source.expect("", m.Name("json"))
    source.edit("", m.SimpleStatementLine([m.Import([m.ImportAlias(m.Name("json"))])]), lambda _: [])

    # Where there are fewer approaches than completions these share them; where there are none they plan freely.
    one = m.IfExp(body=m.Subscript(m.Name("approaches")))
    shared = "approaches[i % len(approaches)]"
    source.edit("generate_n_completions", one, lambda value: value.with_changes(body=source.expression(shared)))
    source.edit(PLAN, m.SimpleStatementLine([m.Assert()]), lambda _: [], times=2)
    source.edit(PLAN, dotted("cepo_config.use_plan_diversity"), lambda _: cst.Name("approach"))


def _unstreamed(line: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
    """Leave the last element of a request out."""
    (request,) = m.findall(line, m.Dict())
    assert isinstance(request, cst.Dict)
    *elements, kept, last = request.elements
    if not m.matches(last, m.DictElement(m.SimpleString('"stream"'), m.Name("False"))):
        raise Unexpected(f"{APPROACHES} does not end its request with its stream")
    return line.with_deep_changes(request, elements=[*elements, kept.with_changes(comma=last.comma)])


def _of_value(handler: Any) -> Any:
    return handler.with_changes(type=cst.Name("ValueError"))
