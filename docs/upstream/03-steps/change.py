"""Let each step of CePO use its own temperature and its own limit of tokens."""

from __future__ import annotations

from collections.abc import Callable

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Source, dotted, within

SETTINGS = {"max_tokens": "planning_max_tokens_step1", "temperature": "planning_temperature_step1"}
# A plan, its execution, the review of all plans and the final answer stand in the code in this order.
STEPS = (1, 2, 3, 4)


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    for parameter, setting in SETTINGS.items():
        steps = iter(STEPS)
        source.edit("generate_completion", _from(parameter, setting), _of(source, setting, steps.__next__), len(STEPS))
        # That the order is this: two are those of a plan, and the last stands where there is a fourth step.
        source.expect("generate_completion.generate_single_plan", _from(parameter, setting))
        source.expect("generate_completion.generate_single_plan", _from(parameter, _numbered(setting, 2)))
        source.expect("generate_completion", _last_step(_from(parameter, _numbered(setting, 4))))


def _from(parameter: str, setting: str) -> m.DictElement:
    """Match the place in a call's parameters where one is taken from the configuration."""
    return m.DictElement(
        key=m.SimpleString(m.MatchIfTrue(lambda text: text.strip("\"'") == parameter)),
        value=dotted(f"cepo_config.{setting}"),  # type: ignore[arg-type]
    )


def _numbered(setting: str, step: int) -> str:
    return f"{setting.removesuffix('1')}{step}"


def _of(source: Source, setting: str, next_step: Callable[[], int]) -> Callable[[cst.DictElement], cst.DictElement]:
    """Return an edit that gives each place that it meets the setting of the next step."""

    def edited(element: cst.DictElement) -> cst.DictElement:
        return element.with_changes(value=source.expression(f"cepo_config.{_numbered(setting, next_step())}"))

    return edited


def _last_step(inside: m.DictElement) -> m.If:
    return m.If(
        test=m.Comparison(left=dotted("cepo_config.planning_max_tokens_step4")),  # type: ignore[arg-type]
        body=within(inside),
    )
