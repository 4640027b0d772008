"""aider's command, in an empty folder. See talk.py for its input."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import talk
from talk import EFFORT, KEY, TEXT, report

MODEL = f"openai/{talk.MODEL}"
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # else LiteLLM looks for a newer list of prices on the network
PRICES = ".aider/caches/model_prices_and_context_window.json"  # the same of aider's own
QUIET = ["--no-check-update", "--no-analytics", "--no-show-release-notes", "--no-show-model-warnings", "--no-pretty"]
ALONE = ["--no-git", "--yes-always", "--no-auto-lint", "--no-detect-urls", "--no-suggest-shell-commands"]


@contextmanager
def aider(*arguments: str, **fields: Any) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start aider in an empty folder, with these fields in each request."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / PRICES).parent.mkdir(parents=True)
        (folder / PRICES).write_text('{"none": {}}')
        model = {"name": MODEL, "edit_format": "whole", "use_repo_map": False, "extra_params": fields}
        (folder / "settings.yml").write_text(json.dumps([model]))  # JSON is YAML
        at = ["--model", MODEL, "--openai-api-base", talk.base_url(), "--openai-api-key", KEY]
        options = ["--model-settings-file", "settings.yml", *at, *QUIET, *ALONE, *arguments]
        environ = os.environ | OFFLINE | {"HOME": name}
        streams: dict[str, int] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        command = [sys.executable, "-m", "aider", *options]
        with subprocess.Popen(command, cwd=folder, env=environ, text=True, **streams) as process:
            yield process, folder


def tell(*arguments: str, **fields: Any) -> None:
    """Report what aider prints: the progress and the answer, the tokens, and the files that it leaves."""
    with aider(*arguments, **fields) as (process, folder):
        printed, _ = process.communicate()
        files = {path.name: path.read_text() for path in folder.glob("*.py")}
    thoughts, _, answer = printed.partition("Repo-map: disabled")[2].rpartition("ANSWER**")
    sent = re.search(r"Tokens: ([\d.]+k?) sent", printed)
    reasoning = thoughts.partition("THINKING**")[2]
    report(content=answer.strip(), reasoning=reasoning, sent=sent and sent[1], files=files, printed=printed)


def ask() -> None:
    """A question."""
    tell("--chat-mode", "ask", "--no-stream", "--message", TEXT, extra_body=EFFORT)


def stream() -> None:
    """A question, streamed."""
    tell("--chat-mode", "ask", "--message", TEXT, extra_body=EFFORT)


def edit() -> None:
    """A file that the model writes."""
    tell("--message", "Write six.py.", "six.py", extra_body=EFFORT)


def sent_answer() -> None:
    """The tokens of the answer's call."""
    tell("--chat-mode", "ask", "--no-stream", "--message", TEXT, extra_body={"cepo_cerebras_usage": "answer"})


def sent_total() -> None:
    """The tokens of all calls."""
    tell("--chat-mode", "ask", "--no-stream", "--message", TEXT)


def refused() -> None:
    """A parameter that is refused."""
    tell("--chat-mode", "ask", "--message", TEXT, logprobs=True)


def cancel() -> None:
    """Interrupt it."""
    with aider("--chat-mode", "ask", "--message", TEXT) as (process, _):
        report(first=True)
        talk.wait()
        process.send_signal(signal.SIGINT)
        process.communicate()
        report(cancelled=True)
        talk.wait()


talk.serve(lambda scenario: globals()[scenario]())
