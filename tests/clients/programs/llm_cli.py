"""Simon Willison's `llm`: its command, and its classes. See talk.py for its input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import talk
from city import City
from talk import MODEL, TEXT, report

FOLDER = Path(os.environ.setdefault("LLM_USER_PATH", tempfile.mkdtemp()))

import llm  # noqa: E402 -- it reads the variable

LOW = {"reasoning_effort": "low"}  # it sends no field that it does not know, but this one has the same meaning

COMMAND = [sys.executable, "-m", "llm", "-m", "cepo", "--no-log"]


def model() -> Any:
    """The model, written down as a user does."""
    able = {"reasoning": True, "supports_schema": True, "supports_tools": True}
    one = {"model_id": "cepo", "model_name": MODEL, "api_base": talk.base_url(), **able}
    (FOLDER / "extra-openai-models.yaml").write_text(json.dumps([one]))  # JSON is YAML
    return llm.get_model("cepo")


def prompt(**options: Any) -> Any:
    """Ask the question."""
    return model().prompt(TEXT, **LOW, **options)


def usage(response: Any) -> int:
    """Return the tokens."""
    found = response.usage()
    return int(found.input + found.output)


def ask() -> None:
    """A question, with the command."""
    model()
    options = [part for name, value in LOW.items() for part in ("-o", name, value)]
    command = [sys.executable, "-m", "llm", "-m", "cepo", "--no-log", "--usage", *options, TEXT]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    report(
        content=done.stdout, usage=sum(map(int, re.findall(r"([\d,]+) (?:in|out)put", done.stderr.replace(",", ""))))
    )


def stream() -> None:
    """A stream."""
    response = prompt(stream=True)
    pieces = list(response)
    report(content="".join(pieces), pieces={"content": len(pieces)}, usage=usage(response))


def max_effort() -> None:
    """The highest of the efforts that it knows."""
    report(content=model().prompt(TEXT, reasoning_effort="max").text())


def structured() -> None:
    """A schema."""
    report(city=json.loads(prompt(schema=City).text()))


def agent() -> None:
    """A tool call, its result, and the answer."""
    chain = model().chain(TEXT, tools=[talk.weather], options=LOW)
    report(content=chain.text(), runs=talk.tool_runs())


def quota() -> None:
    """A quota that is used up."""
    talk.refused(lambda: prompt().text())


def cancel() -> None:
    """Interrupt the command."""
    model()
    with subprocess.Popen(
        [sys.executable, "-m", "llm", "-m", "cepo", "--no-log", TEXT], stdin=subprocess.DEVNULL
    ) as command:
        report(first=True)
        talk.wait()
        command.send_signal(signal.SIGINT)
        command.wait()
        report(cancelled=True)
        talk.wait()


talk.serve(lambda scenario: globals()[scenario]())
