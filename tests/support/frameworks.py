"""Agent frameworks and other libraries above an OpenAI-compatible API, and an API that plays the model for them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pytest

from optillm_cerebras_cepo.simulator import Answer, ToolUse, tokens
from optillm_cerebras_cepo.simulator.schema import ChatCompletionServerRequest
from support.client_libraries import Client

ANSWER = "The simulated answer is 42, for six sevens are that many. " * 10 + "\n\nRating: [[1]]\nBetter Response: [[0]]"
CITY = {"name": "Paris", "population": 2100000}
PARIS = '{"city": "Paris"}'
WEATHER = "Sunny, 21 degrees."  # what the tool returns
OUTPUTS = re.compile(r"Your output fields are:\n(.*?)\nAll interactions", re.DOTALL)  # DSPy's
REPORT = "It is sunny in Paris."

Structured = Literal["response_format", "function", "prompt", ""]


@dataclass(frozen=True)
class Framework(Client):
    """A library, and what its users should know of it.

    Attributes:
        structured: how it asks for structured output unless it is told otherwise: by `response_format`, by one function
            that the model must call, by a prompt, or not at all.
        streams: whether it gives streams to a program.
        progress: whether a stream shows `reasoning_content`.
        usage: whether it tells the exact tokens that the server reports.
        calls_with_tool: calls to the API while it runs a tool and answers; 0: it runs no tools.
        error: name of the exception for a quota that is used up; empty: it repeats the request for a minute.
        message: part of the exception's message.
        status: of the response to this request; 200 where the library streams every answer.

    """

    structured: Structured = "response_format"
    streams: bool = True
    progress: bool = False
    usage: bool = True
    calls_with_tool: int = 2
    error: str = "RateLimitError"
    message: str = "is used up"
    status: int = 429


def model(request: ChatCompletionServerRequest) -> Answer:
    """Answer as a model that uses the tool `weather` once, fills any other function, and keeps to a format."""
    texts = [tokens.plain(message.content) for message in request.messages]
    reported = any(WEATHER in text for text in texts)  # not every library sends a tool's result as one
    if request.response_format is not None and request.response_format.type != "text":
        return Answer(json.dumps(CITY))
    if outputs := OUTPUTS.search(texts[0]):
        return Answer(_dspy(re.findall(r"^\d+\. `(\w+)`", outputs[1], re.MULTILINE), reported))
    if "<code>" in texts[0]:
        return Answer('<code>\nfinal_answer(weather(city="Paris"))\n</code>')
    if any("six.py" in text for text in texts):
        return Answer("six.py\n```\nprint(6 * 7)\n```\n")
    if "weather" in request.offered and not reported:
        return Answer(ANSWER, tool_calls=(ToolUse("weather", PARIS),))
    arguments = {"final_answer": {"answer": REPORT}}  # smolagents' own function
    names = sorted(request.offered - {"weather"})
    calls = tuple(ToolUse(name, json.dumps(arguments.get(name, CITY))) for name in names)
    return Answer(REPORT if reported else ANSWER, tool_calls=calls)


def _dspy(fields: Sequence[str], reported: bool) -> str:
    """Fill the fields that DSPy's prompt names."""
    values = {
        "answer": REPORT if reported else ANSWER,
        "city": json.dumps(CITY),
        "next_tool_name": "finish" if reported else "weather",
        "next_tool_args": "{}" if reported else PARIS,
    }
    lines = [f"[[ ## {field} ## ]]\n{values.get(field, 'So be it.')}" for field in fields]
    return "\n\n".join([*lines, "[[ ## completed ## ]]"])


NEWEST, OPENAI_2 = "frameworks.lock", "frameworks-openai2.lock"

CEREBRAS_SDK = Framework(NEWEST, "cerebras_sdk.py", progress=True)
PYDANTIC_AI = Framework(NEWEST, "pydantic_ai_agent.py", structured="function", progress=True, error="ModelHTTPError")
INSTRUCTOR = Framework(
    OPENAI_2, "instructor_client.py", structured="function", streams=False, calls_with_tool=0, cancels=()
)
OPENAI_AGENTS = Framework(NEWEST, "openai_agents.py", progress=True)
LANGCHAIN_AGENT = Framework(NEWEST, "langchain_agent.py", structured="function")
LLAMA_INDEX = Framework(OPENAI_2, "llama_index_client.py", structured="function", progress=True, usage=False)
DSPY = Framework(NEWEST, "dspy_client.py", structured="prompt", calls_with_tool=18, error="LMRateLimitError")
SMOLAGENTS = Framework(NEWEST, "smolagents_agent.py", structured="", cancels=())
HAYSTACK = Framework(NEWEST, "haystack_client.py")
AUTOGEN = Framework(NEWEST, "autogen_agent.py", progress=True)
LLM = Framework(NEWEST, "llm_cli.py", error="APIError", status=200)
INSPECT = Framework(NEWEST, "inspect_eval.py", streams=False, error="EvalError")
AIDER = Framework(
    "aider.lock", "aider_cli.py", structured="", streams=False, progress=True, usage=False, calls_with_tool=0, error=""
)
LM_EVAL = Framework(
    "lm-eval.lock",
    "lm_eval_task.py",
    structured="",
    streams=False,
    usage=False,
    calls_with_tool=0,
    error="HTTPError",
    message="429 Client Error",
    cancels=(),
)
LANGCHAIN_JS = Framework("node", "langchain_js.mjs", progress=True)
AGENTS_JS = Framework("node", "agents_js.mjs", progress=True)

FRAMEWORKS = (
    CEREBRAS_SDK,
    PYDANTIC_AI,
    INSTRUCTOR,
    OPENAI_AGENTS,
    LANGCHAIN_AGENT,
    LLAMA_INDEX,
    DSPY,
    SMOLAGENTS,
    HAYSTACK,
    AUTOGEN,
    LLM,
    INSPECT,
    AIDER,
    LM_EVAL,
    LANGCHAIN_JS,
    AGENTS_JS,
)


def every(*clients: Framework) -> pytest.MarkDecorator:
    """Run a test for each of them. aider does not support Python 3.13, so that its lock cannot be installed there."""
    newer = pytest.mark.skipif(sys.version_info >= (3, 13), reason="aider supports Python 3.10 to 3.12")
    cases = [pytest.param(client, id=client.name, marks=[newer] if client is AIDER else []) for client in clients]
    return pytest.mark.parametrize("client", cases)
