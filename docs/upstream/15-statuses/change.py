"""Reply to a provider's error with the provider's status, in OpenAI's format."""

from __future__ import annotations

from checkout import Checkout

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

RETURN = r"""\1body, status, headers = provider_error(e)
\1return jsonify(body), status, headers
"""


def change(checkout: Checkout) -> None:
    """Edit optillm/server.py."""
    source = checkout.source("optillm/server.py")
    # The last statement of the handler of all exceptions of approaches.
    source.sub("proxy", r"^( {8})return jsonify\(\{.error.: str\(e\)\}\), 500\n", RETURN)
    source.add_before("proxy", PROVIDER_ERROR)
