"""`cepo-cerebras demo`: ask one question; a small local model answers if there is no key."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from optillm_cerebras_cepo.cli import CommandError, ask
from optillm_cerebras_cepo.core.command_line import Parser
from optillm_cerebras_cepo.core.environment import API_KEY, BASE_URL, misspelt
from optillm_cerebras_cepo.demo.child_process import DemoError
from optillm_cerebras_cepo.demo.local_model import serving

# The small local model knows this; it cannot add. It writes less when it is asked to.
DEFAULT_QUESTION = "What is the capital of France? Answer in one short sentence."
SEED = "3"  # with which the small model keeps to the question
Say = Callable[[str], None]

# Three candidates of one plan each, with short replies: 10 to 20 s on two cores. The model is too small to rate. The
# environment overrides these.
LOCAL_SETTINGS = {
    "CEPO_CEREBRAS_MIN_TOKENS_PER_SECOND": "0.1",
    "CEPO_CEREBRAS_CONCURRENCY": "2",  # as many calls as the local model answers at once
    "CEPO_CEREBRAS_BESTOFN_N": "3",
    "CEPO_CEREBRAS_BESTOFN_RATING_TYPE": "majority",
    "CEPO_CEREBRAS_PLANNING_N": "1",
    "CEPO_CEREBRAS_PLANNING_M": "2",
    "CEPO_CEREBRAS_PLANNING_TEMPERATURE_STEP1": "0.3",
    "CEPO_CEREBRAS_PLANNING_TEMPERATURE_STEP2": "0.1",
    **{f"CEPO_CEREBRAS_PLANNING_MAX_TOKENS_STEP{number}": "160" for number in (1, 2, 3, 4)},
    "CEPO_CEREBRAS_PLANNING_MAX_TOKENS_DIRECT_RESP": "160",
}


def run(arguments: Sequence[str], say: Say) -> None:
    """Run the demo. SIGTERM ends it as Ctrl-C does, so that its child process is stopped."""
    parser = Parser("cepo-cerebras demo")
    parser.description = "Ask one question and watch it being answered; without a key, a small local model answers."
    parser.add_argument("question", nargs="?", default=DEFAULT_QUESTION)
    given = parser.parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with model(say, os.environ):
            ask.run([given.question, "--seed", SEED], say)
    except DemoError as error:
        for line in error.details or ():
            say(f"  | {line}")
        raise CommandError(str(error)) from None
    say("")
    for line in next_steps():
        say(line)


@contextmanager
def model(say: Say, environ: MutableMapping[str, str]) -> Iterator[None]:
    """Have a model for the block: that of the environment's key, otherwise a local one, in the environment too.

    Raises:
        DemoError: the local model cannot be started.

    """
    if environ.get(API_KEY):
        yield
        return
    say(f"{misspelt(API_KEY, environ) or f'{API_KEY} is not set.'} SmolLM2-135M-Instruct answers, on this machine.")
    say("It is a real model and takes every step, but it is too small to give reliable answers.")
    before = dict(environ)
    with serving() as local:
        proxy = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")
        here = {API_KEY: local.api_key, BASE_URL: local.base_url, "CEPO_CEREBRAS_MODEL": local.model}
        environ.update({**LOCAL_SETTINGS, **before, **here, **proxy})
        try:
            yield
        finally:
            environ.clear()
            environ.update(before)


def next_steps() -> Iterator[str]:
    """Yield what to do next, three lines."""
    program = Path(sys.argv[0])
    inside = program.is_absolute() and program.is_relative_to(Path.cwd())
    name = str(program.relative_to(Path.cwd())) if inside else "cepo-cerebras"
    yield "Next:"
    yield f"  CEREBRAS_API_KEY=csk-... {name} ask   answers by Cerebras"
    yield f"  {name} serve                          a server for your backend: docs/sidecar.md"
    yield f"  {name} serve --page                   the same with a page: http://127.0.0.1:8080"
