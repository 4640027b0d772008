"""Let a request's own parameters decide how CePO's last step writes the answer."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Source, assignment, call, dotted

CEPO = "optillm/cepo/cepo.py"
# Who hands it on to whom, from the server to the step that writes.
WAY = (
    ("cepo", "generate_n_completions"),
    ("generate_n_completions", "generate_completion"),
)

PARAMETERS = '''

# What a request may say of the answer that it gets
ANSWER_PARAMETERS = (
    "temperature", "top_p", "max_tokens", "stop", "seed", "response_format", "presence_penalty", "frequency_penalty"
)


def answer_parameters(request_config: Optional[dict]) -> dict:
    """
    Return those parameters of a request that belong to the step which writes its answer.

    The other steps write for each other: a `stop` or a `response_format` would break them.
    """
    given = request_config or {}
    return {name: given[name] for name in ANSWER_PARAMETERS if given.get(name) is not None}


'''


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py and optillm/server.py."""
    source = checkout.source(CEPO)
    for caller, called in WAY:
        source.edit(caller, call(called), _handing_on)
    for name in ("cepo", "generate_n_completions", "generate_completion"):
        source.edit(name, m.FunctionDef(name=m.Name(name)), lambda function: _taking(source, function))
    # Step 4: its request is the one that is made under this condition.
    source.edit("generate_completion", _last_step(), lambda step: _with_parameters(source, step))
    source.insert_before("generate_completion", PARAMETERS)
    checkout.source("optillm/server.py").edit("execute_single_approach", call("cepo"), _handing_on)


def _handing_on(node: cst.Call) -> cst.Call:
    """Return the call with one more argument."""
    last = node.args[-1].with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")))
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    more = cst.Arg(cst.Name("request_config"), keyword=cst.Name("request_config"), equal=equal)
    return node.with_changes(args=[*node.args[:-1], last, more])


def _taking(source: Source, function: cst.FunctionDef) -> cst.FunctionDef:
    """Return the function with one more parameter, which may be left out."""
    line = cst.ensure_type(source.statements("def f(a, request_config: dict = None): pass")[0], cst.FunctionDef)
    *others, last = function.params.params
    last = last.with_changes(comma=cst.Comma(whitespace_after=cst.SimpleWhitespace(" ")))
    return function.with_deep_changes(function.params, params=[*others, last, line.params.params[1]])


def _last_step() -> m.If:
    return m.If(test=m.Comparison(left=dotted("cepo_config.planning_max_tokens_step4")))


def _with_parameters(source: Source, step: cst.If) -> cst.If:
    """Return the step with what the request says put into its call."""
    body = list(step.body.body)
    (place,) = [number for number, line in enumerate(body) if m.matches(line, assignment("provider_request"))]
    body.insert(place + 1, source.statements("provider_request.update(answer_parameters(request_config))\n")[0])
    return step.with_deep_changes(step.body, body=body)
