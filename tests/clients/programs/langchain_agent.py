"""LangChain's agents. See talk.py for its input."""

from __future__ import annotations

from typing import Any

import openai
import talk
from city import City
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain_openai import ChatOpenAI
from talk import KEY, MODEL, QUESTION, TEXT, report


def model(**body: Any) -> Any:
    """The chat model."""
    return ChatOpenAI(
        base_url=talk.base_url(), api_key=KEY, model=MODEL, stream_usage=True, extra_body=body or talk.EFFORT
    )


def run(**options: Any) -> Any:
    """Run an agent."""
    return create_agent(model(), **options).invoke({"messages": QUESTION})


def ask() -> None:
    """A question."""
    last = run()["messages"][-1]
    report(content=last.content, usage=last.usage_metadata["total_tokens"])


def stream() -> None:
    """A stream of the model's tokens."""
    chunks = [chunk for chunk, _ in create_agent(model()).stream({"messages": QUESTION}, stream_mode="messages")]
    report(
        content="".join(chunk.content for chunk in chunks),
        pieces={"content": sum(bool(chunk.content) for chunk in chunks)},
        reasoning="".join(chunk.additional_kwargs.get("reasoning_content", "") for chunk in chunks),
        usage=sum(chunk.usage_metadata["total_tokens"] for chunk in chunks if chunk.usage_metadata),
    )


def structured() -> None:
    """A response format, which the agent sends as a function."""
    report(city=run(response_format=City)["structured_response"].model_dump())


def chat_model() -> None:
    """Structured output of the chat model alone, which is a response_format."""
    report(city=model().with_structured_output(City).invoke(QUESTION).model_dump())


def agent() -> None:
    """A tool call, its result, and the answer."""
    report(content=run(tools=[talk.weather])["messages"][-1].content, runs=talk.tool_runs())


def system_only() -> None:
    """A conversation of instructions alone."""
    report(content=model().invoke([("system", TEXT)]).content)


def assistant_last() -> None:
    """A conversation that the assistant has begun to answer."""
    report(content=model().invoke([*QUESTION, ("assistant", "Six times seven is")]).content)


def summarize(usage: str) -> None:
    """A short conversation of five questions, with a summary when the model reports more than 3000 tokens."""
    chat = model(cepo_cerebras_usage=usage)
    summary = SummarizationMiddleware(chat, trigger=("tokens", 3000), keep=("messages", 2))
    messages: list[Any] = []
    for _ in range(5):
        agent = create_agent(chat, middleware=[summary])
        messages = agent.invoke({"messages": [*messages, *QUESTION]})["messages"]
    report(messages=len(messages))


def summarize_answer() -> None:
    """With the usage of the answer's call."""
    summarize("answer")


def summarize_total() -> None:
    """With the usage of all calls."""
    summarize("total")


def quota() -> None:
    """A quota that is used up."""
    talk.refused(run, openai.APIError)


def cancel() -> None:
    """Cancel the task that reads a stream."""

    async def read() -> None:
        async for _ in create_agent(model()).astream({"messages": QUESTION}, stream_mode="messages"):
            pass

    talk.leave(read)


talk.serve(lambda scenario: globals()[scenario]())
