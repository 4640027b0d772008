"""What one library alone has, or needs of the server."""

from __future__ import annotations

import pytest
from support.client_libraries import House, Programs
from support.frameworks import (
    AIDER,
    AUTOGEN,
    CEREBRAS_SDK,
    CITY,
    DSPY,
    HAYSTACK,
    INSPECT,
    INSTRUCTOR,
    LANGCHAIN_AGENT,
    LANGCHAIN_JS,
    LLAMA_INDEX,
    LLM,
    LM_EVAL,
    PYDANTIC_AI,
    SMOLAGENTS,
    Framework,
    every,
)
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first to use a library installs it

ANSWER_BEGINS = "The simulated answer is 42, "
PLANNED = 6  # calls with effort low, which every program sends as a field


@pytest.mark.parametrize("scenario", ["stream", "stream_v1"])
def test_cerebras_sdk_knows_a_chunk(programs: Programs, model: House, scenario: str) -> None:
    """A chunk without `system_fingerprint` would become a reply, whose choices have no `delta`."""
    stream = programs.run(CEREBRAS_SDK, scenario, model)
    assert stream["classes"] == ["ChatChunkResponse"]
    assert stream["kinds"] == ["role", "reasoning", "content", "finish", "usage"]
    assert stream["content"].startswith(ANSWER_BEGINS)


def test_cerebras_sdk_at_the_address_of_other_clients(programs: Programs, model: House) -> None:
    """Its paths begin with /v1, so /v1 at the end of its base URL is there twice."""
    reply = programs.run(CEREBRAS_SDK, "ask_v1", model)
    assert reply["classes"] == ["ChatCompletionResponse"]
    assert reply["content"].startswith(ANSWER_BEGINS)


def test_cerebras_sdk_adds_up_a_tool_call(programs: Programs, model: House) -> None:
    """A tool call in pieces. Without its `type`, which the SDK requires in each, a piece would become a reply."""
    stream = programs.run(CEREBRAS_SDK, "tool_stream", model)
    assert stream["classes"] == ["ChatChunkResponse"]
    (call,) = stream["tool_calls"]
    assert (call["name"], call["arguments"]) == ("weather", '{"city": "Paris"}')


def test_cerebras_sdk_refuses(programs: Programs, model: House) -> None:
    """A parameter that is refused: the SDK's own exception, with the parameter's name, after one request."""
    before = len(model.requests())
    error = programs.run(CEREBRAS_SDK, "refused", model)
    assert "BadRequestError" in error["classes"]
    assert (error["status"], error["param"]) == (400, "logprobs")
    assert model.requests(since=before) == [400]


@pytest.mark.parametrize(
    ("client", "scenario"),
    [
        (INSTRUCTOR, "schema"),
        (INSTRUCTOR, "partial"),
        (LLAMA_INDEX, "schema"),
        (LANGCHAIN_AGENT, "chat_model"),
        (LANGCHAIN_JS, "agent_structured"),
    ],
    ids=lambda value: value.name if isinstance(value, Framework) else value,
)
def test_other_ways_to_structured_output(programs: Programs, client: Framework, scenario: str, model: House) -> None:
    """Each library has both ways, a response_format and a function, and some stream: all are planned."""
    model.api.clear()
    assert programs.run(client, scenario, model)["city"] == CITY
    assert len(model.api.chat_calls) == PLANNED


def test_pydantic_ai_with_a_tool_and_an_output_type(programs: Programs, model: House) -> None:
    """Two functions of which the model chooses: direct calls."""
    model.api.clear()
    reply = programs.run(PYDANTIC_AI, "structured_with_tool", model)
    assert (reply["city"], reply["runs"]) == (CITY, ["Paris"])
    assert len(model.api.chat_calls) == 2


def test_smolagents_writes_code(programs: Programs, model: House) -> None:
    """Its CodeAgent has no tools for the API, so that each of its steps is planned."""
    model.api.clear()
    assert programs.run(SMOLAGENTS, "code", model)["runs"] == ["Paris"]
    assert len(model.api.chat_calls) == PLANNED


def test_autogen_streams_progress_as_text(programs: Programs, model: House) -> None:
    """The progress is in its stream between <think> tags, and not in the content of the last part."""
    reply = programs.run(AUTOGEN, "stream", model)
    assert reply["text"].startswith("<think>")
    assert reply["text"].endswith(reply["content"])


@pytest.mark.parametrize(("client", "score"), [(INSPECT, "C"), (LM_EVAL, 1.0)], ids=["inspect", "lm_eval"])
def test_an_evaluation_marks_the_answer(programs: Programs, client: Framework, score: object, model: House) -> None:
    """The mark of a correct answer."""
    assert programs.run(client, "ask", model)["score"] == score


@pytest.mark.parametrize(
    ("client", "requests"), [(LLAMA_INDEX, 3), (DSPY, 4), (LM_EVAL, 3)], ids=["llama_index", "dspy", "lm_eval"]
)
def test_own_retries(programs: Programs, client: Framework, requests: int, crowded: House) -> None:
    """Retries of the library's own, which ignore `x-should-retry`: its users may want to switch them off."""
    before = len(crowded.requests())
    programs.run(client, "quota_default", crowded)
    assert crowded.requests(since=before) == [429] * requests


@pytest.mark.parametrize(
    ("client", "seconds", "requests"),
    [(CEREBRAS_SDK, 60, 3), (LLAMA_INDEX, 60, 12), (HAYSTACK, 30, 6)],
    ids=["cerebras_sdk", "llama_index", "haystack"],
)
def test_own_timeout(programs: Programs, client: Framework, seconds: int, requests: int, slow: House) -> None:
    """Less than a planned request may take, and the request is sent again: its users have to raise it."""
    assert programs.run(client, "timeout", slow)["seconds"] == seconds
    before = len(slow.requests())
    assert "APITimeoutError" in programs.run(client, "timed_out", slow)["classes"]
    until(lambda: len(slow.requests(since=before)) >= requests, lambda: slow.server.log)
    assert len(slow.requests(since=before)) == requests


@pytest.mark.parametrize("scenario", ["system_only", "assistant_last"])
def test_a_conversation_without_a_last_question(programs: Programs, scenario: str, model: House) -> None:
    """Conversations that frameworks send: answered in one direct call."""
    model.api.clear()
    assert programs.run(LANGCHAIN_AGENT, scenario, model)["content"].startswith(ANSWER_BEGINS)
    assert len(model.api.chat_calls) == 1


def test_llm_asks_for_the_most(programs: Programs, model: House) -> None:
    """The highest of its efforts is our highest."""
    model.api.clear()
    assert programs.run(LLM, "max_effort", model)["content"].startswith(ANSWER_BEGINS)
    assert len(model.api.chat_calls) == 42  # 40, and two for approaches, which the simulated model does not name


def test_langchain_keeps_a_short_conversation(programs: Programs, model: House) -> None:
    """Its SummarizationMiddleware goes by `usage`: with that of the answer alone it keeps all ten messages."""
    assert programs.run(LANGCHAIN_AGENT, "summarize_answer", model)["messages"] == 10
    assert programs.run(LANGCHAIN_AGENT, "summarize_total", model)["messages"] < 10


@every(AIDER)
def test_aider_tells_the_tokens_of_its_prompt(programs: Programs, client: Framework, model: House) -> None:
    """With the usage of the answer alone it tells hundreds of tokens, as without a plan; else thousands."""
    answer = programs.run(client, "sent_answer", model)
    assert (answer["sent"] or "").isdecimal(), answer["printed"]
    assert programs.run(client, "sent_total", model)["sent"].endswith("k")


@every(AIDER)
def test_aider_shows_progress(programs: Programs, client: Framework, model: House) -> None:
    """In a stream it prints the progress before the answer."""
    reply = programs.run(client, "stream", model)
    assert "candidate 1 plan" in reply["reasoning"]
    assert reply["content"].startswith(ANSWER_BEGINS)


@every(AIDER)
def test_aider_writes_a_file(programs: Programs, client: Framework, model: House) -> None:
    """An edit is planned as a question is."""
    model.api.clear()
    assert programs.run(client, "edit", model)["files"] == {"six.py": "print(6 * 7)\n"}
    assert len(model.api.chat_calls) == PLANNED


@every(AIDER)
def test_aider_prints_what_is_refused(programs: Programs, client: Framework, model: House) -> None:
    """A parameter that is refused: our message, after one request."""
    before = len(model.requests())
    assert "logprobs are not available" in programs.run(client, "refused", model)["printed"]
    assert model.requests(since=before) == [400]
