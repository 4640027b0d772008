"""List a provider's models by the client that requests go through, which knows the path."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from tree import Checkout, assignment, call, within

CLIENT = """\
# The provider's own client, as for completions: what follows the base URL differs
if isinstance(default_client, (Cerebras, OpenAI)):
    client = default_client
else:
    pass
"""


def change(checkout: Checkout) -> None:
    """Edit optillm/server.py."""
    source = checkout.source("optillm/server.py")
    (choice,) = (cst.ensure_type(line, cst.If) for line in source.statements(CLIENT))

    def chosen(line: cst.SimpleStatementLine) -> cst.BaseStatement:
        other = cst.ensure_type(choice.orelse, cst.Else)
        return choice.with_deep_changes(other.body, body=[line])

    source.edit("proxy_models", assignment("client", call("OpenAI")), chosen)
    # A Cerebras client has models to list without a base URL too.
    base_url = m.Subscript(m.Name("server_config"), [m.SubscriptElement(m.Index(m.SimpleString("'base_url'")))])
    source.edit(
        "proxy_models",
        m.If(test=base_url, body=within(call("client.models.list"))),
        lambda branch: branch.with_changes(
            test=cst.BooleanOperation(
                source.expression("isinstance(default_client, Cerebras)"),
                cst.Or(),
                cst.ensure_type(branch, cst.If).test,
            )
        ),
    )
    source.edit(
        "proxy_models",
        assignment("models_response", call("client.models.list")),
        lambda line: line.with_changes(leading_lines=()),  # its comment says which client it is
    )
