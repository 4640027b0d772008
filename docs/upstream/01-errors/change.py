"""Handle the errors of the Cerebras SDK in CePO, and retry transient errors of both SDKs."""

from __future__ import annotations

from checkout import Checkout

CALL, FALLBACK = "llm_call", "llm_call_reason_effort_fallback"

CEREBRAS = r"""from cerebras.cloud.sdk import APIConnectionError as CerebrasAPIConnectionError
\g<0>from cerebras.cloud.sdk import InternalServerError as CerebrasInternalServerError
from cerebras.cloud.sdk import RateLimitError as CerebrasRateLimitError
from cerebras.cloud.sdk import UnprocessableEntityError as CerebrasUnprocessableEntityError
from openai import APIConnectionError as OpenAIAPIConnectionError
"""

OPENAI = r"""\g<0>from openai import RateLimitError as OpenAIRateLimitError
from openai import UnprocessableEntityError as OpenAIUnprocessableEntityError
"""

ERRORS = """
# Errors of a request that the server cannot take as it is: 400, or 422 for some servers
BAD_REQUEST_ERRORS = (
    CerebrasBadRequestError,
    CerebrasUnprocessableEntityError,
    OpenAIBadRequestError,
    OpenAIUnprocessableEntityError,
)

# Errors that may be gone when the same request is sent again; a time-out is a connection error in both SDKs
TRANSIENT_ERRORS = (
    CerebrasAPIConnectionError,
    CerebrasInternalServerError,
    CerebrasRateLimitError,
    OpenAIAPIConnectionError,
    OpenAIInternalServerError,
    OpenAIRateLimitError,
)
"""

REFUSAL = '''

def is_reasoning_effort_refused(error: Exception, provider_request: dict) -> bool:
    """
    Check whether an error is a model's refusal of the reasoning effort that was sent to it.

    Args:
        error (Exception): What the LLM call raised.
        provider_request (dict): LLM call params.

    Returns:
        bool: True if the request has a reasoning effort, and the error is a bad request which names it.
    """
    if "reasoning_effort" not in provider_request or not isinstance(error, BAD_REQUEST_ERRORS):
        return False
    refusal = f"{error.message} {error.body}"  # some versions of the OpenAI SDK leave the parameter out of the message
    return "reasoning_effort" in refusal or "think value" in refusal


'''

RETRY = r"""# Retry, unless the same reasoning effort would be refused again
\1 and not is_reasoning_effort_refused(e, provider_request):"""

RETRIES = r"""\1Retries up to `num_of_retries` times, after growing waits, on bad requests, rate limits, server
\1errors and lost connections (time-outs included) of the OpenAI and the Cerebras SDK."""

NOTE = r"""\g<0>
\1    - A model that refuses the lowest reasoning effort is asked again without one, and further
\1      calls are made without it."""

LAST = "if effort == reasoning_effort_levels[-1] and is_reasoning_effort_refused(bre, provider_request):"

AGAIN = f"return {FALLBACK}(client, provider_request, reasoning_effort_levels, cepo_config)\n"


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    source.sub("", r"^from cerebras\.cloud\.sdk import .*\n", CEREBRAS)
    source.sub("", r"^from openai import InternalServerError .*\n", OPENAI)
    source.add_after("", "logger = ", ERRORS)
    source.add_before(CALL, REFUSAL)

    retried = r"\(OpenAI\w+, OpenAI\w+\)(?= as e:)"
    source.sub(CALL, retried, "BAD_REQUEST_ERRORS + TRANSIENT_ERRORS")
    source.sub(CALL, r"# Retry .*\n( *if attempt < .*):", RETRY)
    source.sub(CALL, r"^( *)Retries .*$", RETRIES)

    # The first of two handlers looks for a refusal of the reasoning effort, the second handles all other errors.
    source.sub(FALLBACK, r"OpenAI\w+(?= as bre:)", "BAD_REQUEST_ERRORS")
    source.sub(FALLBACK, retried, "TRANSIENT_ERRORS")
    source.sub(FALLBACK, r"if len\(reasoning_effort_levels\) == 1 and bre\..*:", LAST)
    source.add_after(FALLBACK, r"cepo_config\.use_reasoning = False", AGAIN)
    source.sub(FALLBACK, "^( *)Notes:$", NOTE)
