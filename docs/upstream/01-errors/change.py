"""Let CePO survive the errors of the Cerebras SDK, and transient ones of either SDK."""

from __future__ import annotations

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Source, assignment, dotted

CALL, FALLBACK = "llm_call", "llm_call_reason_effort_fallback"

CONNECTION = "from cerebras.cloud.sdk import APIConnectionError as CerebrasAPIConnectionError\n"

CEREBRAS = """
from cerebras.cloud.sdk import InternalServerError as CerebrasInternalServerError
from cerebras.cloud.sdk import RateLimitError as CerebrasRateLimitError
from cerebras.cloud.sdk import UnprocessableEntityError as CerebrasUnprocessableEntityError
from openai import APIConnectionError as OpenAIAPIConnectionError
""".lstrip()

OPENAI = """
from openai import RateLimitError as OpenAIRateLimitError
from openai import UnprocessableEntityError as OpenAIUnprocessableEntityError
""".lstrip()

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

AGAIN = f"return {FALLBACK}(client, provider_request, reasoning_effort_levels, cepo_config)\n"

UNLESS = "# Retry, unless the same reasoning effort would be refused again"

OPENAIS_BAD, OPENAIS_OWN = m.Name("OpenAIBadRequestError"), m.Name("OpenAIInternalServerError")


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    source.edit("", _importing("cerebras.cloud.sdk"), lambda line: _around(source, line))
    source.edit(
        "", _importing("openai", m.Name("InternalServerError")), lambda line: [line, *source.statements(OPENAI)]
    )
    source.edit("", assignment("logger"), lambda line: [line, *source.statements(ERRORS)])
    source.insert_before(CALL, REFUSAL)

    both = m.Tuple([m.Element(OPENAIS_BAD), m.Element(OPENAIS_OWN)])
    retried = m.ExceptHandler(type=both, name=m.AsName(m.Name("e")))
    source.edit(CALL, retried, lambda handler: _catching(source, handler, "BAD_REQUEST_ERRORS + TRANSIENT_ERRORS"))
    source.edit(
        CALL,
        m.If(test=_compared("attempt", m.LessThan())),
        lambda line: _when(source, line, "{} and not is_reasoning_effort_refused(e, provider_request)").with_changes(
            leading_lines=source.statements(f"{UNLESS}\npass\n")[0].leading_lines
        ),
    )
    source.document(CALL, r"^( *)Retries .*$", r"\1" + _lines(*RETRIES))

    # The first of two handlers looks for a refusal, and takes all that is bad with it; the second takes the rest.
    refused = m.ExceptHandler(type=OPENAIS_BAD, name=m.AsName(m.Name("bre")))
    source.edit(FALLBACK, refused, lambda handler: _catching(source, handler, "BAD_REQUEST_ERRORS"))
    source.edit(FALLBACK, retried, lambda handler: _catching(source, handler, "TRANSIENT_ERRORS"))
    last = "effort == reasoning_effort_levels[-1] and is_reasoning_effort_refused(bre, provider_request)"
    source.edit(
        FALLBACK,
        m.If(test=m.BooleanOperation(left=m.Comparison(left=m.Call(m.Name("len"))))),
        lambda line: _when(source, line, last),
    )
    source.edit(
        FALLBACK,
        assignment("cepo_config.use_reasoning", m.Name("False")),
        lambda line: [line, *source.statements(AGAIN)],
    )
    source.document(FALLBACK, r"^( *)Notes:$", r"\g<0>\n\1" + _lines(*NOTE))


RETRIES = (
    "Retries up to `num_of_retries` times, after growing waits, on bad requests, rate limits, server",
    "errors and lost connections (time-outs included) of the OpenAI and the Cerebras SDK.",
)
NOTE = (
    "    - A model that refuses the lowest reasoning effort is asked again without one, and further",
    "      calls are made without it.",
)


def _lines(*lines: str) -> str:
    return r"\n\1".join(lines)


def _importing(module: str, name: m.Name | None = None) -> m.SimpleStatementLine:
    """Match a line that imports from a module; this name, or any."""
    names = [m.ImportAlias(name)] if name else m.DoNotCare()
    return m.SimpleStatementLine([m.ImportFrom(module=dotted(module), names=names)])  # type: ignore[arg-type]


def _around(source: Source, line: cst.SimpleStatementLine) -> list[cst.BaseStatement]:
    """Return an import among those of its kind, in the order of the alphabet."""
    return [*source.statements(CONNECTION), line, *source.statements(CEREBRAS)]


def _compared(name: str, operator: m.BaseMatcherNode) -> m.Comparison:
    target = m.ComparisonTarget(operator=operator)  # type: ignore[arg-type]
    return m.Comparison(left=m.Name(name), comparisons=[target])


def _catching(source: Source, handler: cst.ExceptHandler, errors: str) -> cst.ExceptHandler:
    return handler.with_changes(type=source.expression(errors))


def _when(source: Source, line: cst.If, test: str) -> cst.If:
    """Return it under another condition; `{}` is the one that it has."""
    return line.with_changes(test=source.expression(test.format(cst.Module([]).code_for_node(line.test))))
