"""The demo: a model, stock OptiLLM in front of it with this plugin, one question, and everything stopped again."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import httpx

from optillm_cerebras_cepo.demo.child import Child, free_port, running
from optillm_cerebras_cepo.demo.errors import DemoError
from optillm_cerebras_cepo.demo.local_model import serving
from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.llm.base_url import normalized
from optillm_cerebras_cepo.settings import Settings

__all__ = ["DEFAULT_QUESTION", "DemoError", "run_demo"]

DEFAULT_QUESTION = "Anna has 3 apples and buys 4 more. How many apples does she have?"

CEREBRAS_URL = "https://api.cerebras.ai"
APPROACH = "cepo_cerebras"

START_SECONDS = 120.0
"""How long OptiLLM may take to start: 2 s with the slim set of its dependencies, up to half a minute with all."""

LOCAL_LIMITS = {
    "CEPO_CEREBRAS_MIN_TOKENS_PER_SECOND": "0.1",
    "CEPO_CEREBRAS_BESTOFN_N": "1",
    "CEPO_CEREBRAS_BESTOFN_MAX_TOKENS": "150",
    "CEPO_CEREBRAS_PLANNING_N": "1",
    "CEPO_CEREBRAS_PLANNING_M": "1",
    "CEPO_CEREBRAS_PLANNING_MAX_TOKENS_STEP1": "300",
    "CEPO_CEREBRAS_PLANNING_MAX_TOKENS_STEP2": "300",
    "CEPO_CEREBRAS_PLANNING_MAX_TOKENS_STEP3": "300",
    "CEPO_CEREBRAS_PLANNING_MAX_TOKENS_STEP4": "300",
    "CEPO_CEREBRAS_PLANNING_MAX_TOKENS_DIRECT_RESP": "300",
}
"""One candidate, one plan, short replies: 5 to 20 s on two cores, and no reply is too slow.

Whoever sets one of these has the last word.
"""

# OptiLLM's log line, `%(asctime)s - %(levelname)s - %(message)s`, when the message is the plugin's.
STEP_LINE = re.compile(r"^\S+ \S+ - [A-Z]+ - cepo_cerebras: (?P<step>.*)$")


def run_demo(question: str, say: Callable[[str], None], environ: Mapping[str, str]) -> None:
    """Ask one question through a stock OptiLLM and tell what happens, step by step.

    With CEREBRAS_API_KEY in `environ` the Cerebras API answers, with the plugin's settings as they are; without it, a
    small model on this machine. Every process that is started is stopped before this returns.

    Args:
        question: the user message.
        say: takes each line to show; steps come on a thread of their own.
        environ: the environment, for this and for OptiLLM.

    Raises:
        DemoError: no answer; one line.
        KeyboardInterrupt: interrupted (SIGINT) or terminated (SIGTERM).

    """
    key = environ.get("CEREBRAS_API_KEY")
    try:
        with _sigterm_as_interrupt():
            if key:
                base_url = normalized(environ.get("CEREBRAS_BASE_URL") or CEREBRAS_URL)
                _ask_through_optillm(question, say, base_url, environ)
            else:
                _ask_local_model(question, say, environ)
    except BadConfiguration as error:
        raise DemoError(error.message) from None
    except DemoError as error:
        for line in error.details:
            say(f"  | {line.replace(key, '***') if key else line}")
        raise


def _ask_local_model(question: str, say: Callable[[str], None], environ: Mapping[str, str]) -> None:
    say("CEREBRAS_API_KEY is not set: SmolLM2-135M-Instruct answers, on this machine.")
    say("It is a real model and takes every step, but far too small to be relied on.")
    started = time.monotonic()
    with serving() as model:
        say(f"{model.model} loaded in {time.monotonic() - started:.1f} s")
        fixed = {
            "CEREBRAS_API_KEY": model.api_key,
            "CEREBRAS_BASE_URL": model.base_url,
            "CEPO_CEREBRAS_MODEL": model.model,
            # httpx reads these inside OptiLLM: no proxy may be asked for this machine.
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        _ask_through_optillm(question, say, model.base_url, {**LOCAL_LIMITS, **environ, **fixed})


def _ask_through_optillm(question: str, say: Callable[[str], None], base_url: str, environ: Mapping[str, str]) -> None:
    """Start OptiLLM in front of `base_url`, ask, stop it, and say what it answered."""
    port = free_port()
    command = ["optillm", "--base-url", base_url, "--approach", APPROACH, "--host", "127.0.0.1", "--port", str(port)]
    # OPTILLM_API_KEY would make it load a model of its own, and another log level hide the steps or show the key.
    environ = {name: value for name, value in environ.items() if name not in ("OPTILLM_API_KEY", "OPTILLM_LOG")}
    environ["PYTHONUNBUFFERED"] = "1"

    def show_step(line: str) -> bool:
        step = STEP_LINE.match(line)
        if step:
            say(f"  {step['step']}")
        return step is not None

    say("$ " + " ".join(command))
    tethered = [sys.executable, "-m", "optillm_cerebras_cepo.demo.tether", *command]
    with running("optillm", tethered, environ, show_step) as optillm:
        optillm.wait_until_healthy(f"http://127.0.0.1:{port}/health", START_SECONDS)
        say(f"Q: {question}")
        started = time.monotonic()
        reply = _ask(optillm, f"http://127.0.0.1:{port}/v1/chat/completions", question, environ)
        seconds = time.monotonic() - started
    # Only now has all of OptiLLM's output been read: no step comes after the answer.
    for line in _told(reply, seconds):
        say(line)


def _ask(optillm: Child, url: str, question: str, environ: Mapping[str, str]) -> dict[str, Any]:
    # OptiLLM wants a model to be named; the plugin answers with the one that it is set to.
    body = {
        "model": environ.get("CEPO_CEREBRAS_MODEL") or Settings().model[0],
        "messages": [{"role": "user", "content": question}],
    }
    try:
        # No time limit here: the plugin has its own, and an OptiLLM that dies closes the connection.
        response = httpx.post(url, json=body, timeout=None, trust_env=False)
    except httpx.TransportError as error:
        raise optillm.failure(f"ended the connection without an answer ({type(error).__name__})") from error
    try:
        reply = response.json()
    except ValueError:
        reply = None
    if response.status_code == 200 and isinstance(reply, dict) and reply.get("choices"):
        return reply
    fault = reply.get("error") if isinstance(reply, dict) else None
    reason = fault.get("message") if isinstance(fault, dict) else fault
    what = f"answered with status {response.status_code}: {reason or 'no reason given'}"
    if response.status_code >= 500:
        raise optillm.failure(what)
    raise DemoError(f"{optillm.name} {what}")


def _told(reply: Mapping[str, Any], seconds: float) -> Iterator[str]:
    """Yield the lines that tell a reply; a field that it lacks is left out."""
    told = reply.get("cepo_cerebras") or {}
    usage = reply.get("usage") or {}
    yield f"A: {reply['choices'][0]['message'].get('content') or '(empty)'}"
    counts = [f"{told['calls']} calls"] if "calls" in told else []
    counts.append(
        f"{usage.get('prompt_tokens', '?')} + {usage.get('completion_tokens', '?')} tokens (prompts + replies)"
    )
    counts.append(f"{told.get('seconds', seconds):.1f} s")
    yield ", ".join(counts)
    for reason in told.get("degraded") or ():
        yield f"note: {reason}"


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM clean up as Ctrl-C does; unhandled, it would end this process on the spot."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # handlers belong to the main thread
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
