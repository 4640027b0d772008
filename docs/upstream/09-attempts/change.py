"""Make as many attempts at plans as are wanted, and a further one only when one was rejected."""

from __future__ import annotations

from typing import Any

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Source, Unexpected, assignment, call, dotted

CANDIDATE = "generate_completion"

STARTED = """# Start as many attempts as there are plans wanted
started = min(cepo_config.planning_n, cepo_config.planning_m)
"""

LOOP = """
while futures:
    future = next(as_completed(futures))
    futures.remove(future)
"""

FURTHER = """
if plan:
    pass
elif started < cepo_config.planning_m:
    # Make a further attempt in place of the rejected one
    futures.append(executor.submit(generate_single_plan, started))
    started += 1
"""


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    source.expect(CANDIDATE, m.CompFor(iter=call("range", m.Arg(dotted("cepo_config.planning_m")))))
    source.edit(
        CANDIDATE,
        assignment("futures", m.ListComp()),
        lambda line: [
            *source.statements(STARTED),
            line.with_deep_changes(line.body[0].value.for_in, iter=source.expression("range(started)")),
        ],
    )
    # Those that were started and not needed were left out of the count.
    source.edit(
        CANDIDATE,
        m.For(target=m.Name("future"), iter=call("as_completed", m.Arg(m.Name("futures")))),
        lambda loop: _on_demand(source, loop),
    )


def _on_demand(source: Source, loop: cst.For) -> list[Any]:
    """Make a loop over attempts that were all started one that starts them, and goes on to the end of the last."""
    *lines, last = loop.body.body
    if not m.matches(
        last, m.If(test=m.Comparison(left=call("len")), body=m.IndentedBlock([m.SimpleStatementLine([m.Break()])]))
    ):
        raise Unexpected(f"{CANDIDATE} leaves its loop over attempts another way")
    *lines, accepted = lines
    if not m.matches(accepted, m.If(test=m.Name("plan"), orelse=None)):
        raise Unexpected(f"{CANDIDATE} takes a plan another way")
    (new,) = source.statements(LOOP)
    (further,) = source.statements(FURTHER)
    assert isinstance(new, cst.While)
    assert isinstance(further, cst.If)
    body = [*new.body.body, *lines, accepted.with_changes(orelse=further.orelse)]
    return [new.with_changes(leading_lines=loop.leading_lines, body=loop.body.with_changes(body=body))]
