"""Answer an error of the provider with the status that the provider gave, in OpenAI's shape."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Source, Unexpected, call

PROVIDER_ERROR = '''

def provider_error(error):
    """
    Turn an error of a provider's SDK into a response: body, status and headers

    Statuses of the provider are kept, a provider that cannot be reached is 502, one that does not answer in time 504.
    Anything else is an internal error, 500.
    """
    name = type(error).__name__
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or not 400 <= status < 600:
        status = {"APITimeoutError": 504, "APIConnectionError": 502}.get(name, 500)
    details = getattr(error, "body", None)
    details = details if isinstance(details, dict) else {}
    body = {
        "error": {
            "message": str(error),
            "type": details.get("type") or name,
            "param": details.get("param"),
            "code": details.get("code"),
        }
    }
    retry_after = getattr(getattr(error, "response", None), "headers", {}).get("retry-after")
    return body, status, {"Retry-After": retry_after} if retry_after else {}


'''


def change(checkout: Checkout) -> None:
    """Edit optillm/server.py."""
    source = checkout.source("optillm/server.py")
    # The last handler of a request, for all that approaches raise: what it logs stays, what it returns is replaced.
    handler = m.ExceptHandler(type=m.Name("Exception"))
    source.edit("proxy", handler, lambda node: node.with_changes(body=_answered(source, node.body)))
    source.insert_before("proxy", PROVIDER_ERROR)


def _answered(source: Source, body: cst.IndentedBlock) -> cst.IndentedBlock:
    """Return the handler's body with another last line."""
    *kept, last = body.body
    if not m.matches(last, m.SimpleStatementLine([m.Return(m.Tuple([m.Element(call("jsonify")), m.Element()]))])):
        raise Unexpected("optillm/server.py, proxy: the handler of errors does not end with its response")
    (first, second) = source.statements(
        "body, status, headers = provider_error(e)\nreturn jsonify(body), status, headers\n"
    )
    return body.with_changes(body=[*kept, first, second])
