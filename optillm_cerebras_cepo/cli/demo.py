"""`cepo-cerebras demo`: start a model and stock OptiLLM with this plugin, ask one question, show each step."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

import httpx

from optillm_cerebras_cepo.cli import CommandError
from optillm_cerebras_cepo.core.command_line import Parser
from optillm_cerebras_cepo.core.environment import API_KEY, BASE_URL, misspelt
from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.demo.child_process import ChildProcess, DemoError, free_port
from optillm_cerebras_cepo.demo.local_model import serving
from optillm_cerebras_cepo.llm.connection import normalized
from optillm_cerebras_cepo.settings.declaration import Settings

DEFAULT_QUESTION = "What is the capital of France?"  # which the small local model knows; it cannot add
CEREBRAS_URL = "https://api.cerebras.ai"
APPROACH = "cepo_cerebras"
START_SECONDS = 120.0  # time-out; OptiLLM starts in 2 s with the slim dependencies, in up to 30 s with all
Say = Callable[[str], None]

# One candidate, one plan and short replies: 5 to 20 s on two cores. The environment overrides these.
LOCAL_SETTINGS = {
    "CEPO_CEREBRAS_MIN_TOKENS_PER_SECOND": "0.1",
    **{f"CEPO_CEREBRAS_{name}": "1" for name in ("BESTOFN_N", "PLANNING_N", "PLANNING_M")},
    "CEPO_CEREBRAS_BESTOFN_MAX_TOKENS": "150",
    **{f"CEPO_CEREBRAS_PLANNING_MAX_TOKENS_STEP{number}": "300" for number in (1, 2, 3, 4)},
    "CEPO_CEREBRAS_PLANNING_MAX_TOKENS_DIRECT_RESP": "300",
}

# OptiLLM's log format is `%(asctime)s - %(levelname)s - %(message)s`.
PROGRESS_LINE = re.compile(r"^\S+ \S+ - [A-Z]+ - cepo_cerebras: (?P<step>.*)$")


def run(arguments: Sequence[str], say: Say) -> None:
    """Run the demo. SIGTERM ends it as Ctrl-C does, so that its child processes are stopped."""
    parser = Parser("cepo-cerebras demo")
    parser.add_argument("question", nargs="?", default=DEFAULT_QUESTION)
    given = parser.parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        run_demo(given.question, say, os.environ)
    except (DemoError, ValueError, OSError) as error:
        raise CommandError(str(error)) from None


def run_demo(question: str, say: Say, environ: Mapping[str, str]) -> None:
    """Ask one question through a stock OptiLLM and show each step, the answer and its cost.

    With CEREBRAS_API_KEY in `environ` the Cerebras API answers, otherwise a small local model. `say` gets each line,
    also from another thread. Raise DemoError, its details already shown, if there is no answer. Every child process is
    stopped before this returns or raises.
    """
    key = environ.get(API_KEY)
    try:
        with ExitStack() as stack:
            if key:
                if hint := misspelt(BASE_URL, environ):
                    raise DemoError(hint)
                base_url = normalized(environ.get(BASE_URL) or CEREBRAS_URL, BASE_URL)
            else:
                environ = _start_local_model(stack, say, environ)
                base_url = environ[BASE_URL]
            reply, seconds = _ask_optillm(question, say, base_url, environ)
        for line in _summary(reply, seconds):
            say(line)
    except BadConfiguration as error:
        raise DemoError(error.message) from None
    except DemoError as error:
        for line in error.details or ():
            say(f"  | {line.replace(key, '***') if key else line}")
        raise


def _start_local_model(stack: ExitStack, say: Say, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Start the local model and return the environment in which OptiLLM uses it."""
    say(f"{misspelt(API_KEY, environ) or f'{API_KEY} is not set.'} SmolLM2-135M-Instruct answers, on this machine.")
    say("It is a real model and takes every step, but it is too small to give reliable answers.")
    started = time.monotonic()
    model = stack.enter_context(serving())
    say(f"{model.model} loaded in {time.monotonic() - started:.1f} s")
    return {
        **LOCAL_SETTINGS,
        **environ,
        API_KEY: model.api_key,
        BASE_URL: model.base_url,
        "CEPO_CEREBRAS_MODEL": model.model,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def _ask_optillm(question: str, say: Say, base_url: str, environ: Mapping[str, str]) -> tuple[Mapping[str, Any], float]:
    """Run OptiLLM for one request. Return its reply and the seconds that it took."""
    port = free_port()
    command = ["optillm", "--base-url", base_url, "--approach", APPROACH, "--host", "127.0.0.1", "--port", str(port)]
    # OPTILLM_API_KEY would make it load a model of its own; another log level would hide the steps or show the key.
    environ = {name: value for name, value in environ.items() if name not in ("OPTILLM_API_KEY", "OPTILLM_LOG")}

    def show_progress(line: str) -> bool:
        progress = PROGRESS_LINE.match(line)
        if progress:
            say(f"  {progress['step']}")
        return progress is not None

    say("$ " + " ".join(command))
    wrapper = [sys.executable, "-u", "-m", "optillm_cerebras_cepo.demo.child_process"]
    with ChildProcess("OptiLLM", [*wrapper, *command], environ, show_progress) as optillm:
        optillm.wait_until_healthy(f"http://127.0.0.1:{port}/health", START_SECONDS)
        say(f"Q: {question}")
        model = environ.get("CEPO_CEREBRAS_MODEL") or Settings().model[0]
        body = {"model": model, "messages": [{"role": "user", "content": question}]}
        try:
            # No time-out: the plugin has its own deadline, and the connection closes if OptiLLM dies.
            response = httpx.post(
                f"http://127.0.0.1:{port}/v1/chat/completions", json=body, timeout=None, trust_env=False
            )
        except httpx.TransportError as error:
            raise DemoError(f"OptiLLM closed the connection without an answer ({type(error).__name__}).") from error
        return _reply(response), response.elapsed.total_seconds()


def _reply(response: httpx.Response) -> Mapping[str, Any]:
    """Return the reply. Raise DemoError if it is not an answer, without details if the error itself says what to do."""
    reply: Any = None
    with suppress(ValueError):
        reply = response.json()
    reply = reply if isinstance(reply, dict) else {}
    if response.status_code == 200 and reply.get("choices"):
        return dict(reply)
    error = reply.get("error")
    error = error if isinstance(error, dict) else {"message": error}
    message = f"OptiLLM answered with status {response.status_code}: {error.get('message') or 'no reason given.'}"
    raise DemoError(message, () if error.get("code") or response.status_code < 500 else None)


def _summary(reply: Mapping[str, Any], seconds: float) -> Iterator[str]:
    """Yield the lines to show for a reply; fields that it lacks are left out."""
    details = reply.get("cepo_cerebras") or {}
    usage = reply.get("usage") or {}
    yield f"A: {reply['choices'][0]['message'].get('content') or '(empty)'}"
    calls = f"{details['calls']} calls, " if "calls" in details else ""
    tokens = f"{usage.get('prompt_tokens', '?')} + {usage.get('completion_tokens', '?')} tokens (prompts + replies)"
    yield f"{calls}{tokens}, {details.get('seconds', seconds):.1f} s"
    for reason in details.get("degraded") or ():
        yield f"note: {reason}"
