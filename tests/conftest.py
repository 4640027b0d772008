"""Fixtures for all tests: the simulated API, OptiLLM's plugins, a fresh process-wide state, and slow tests last."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support.waiting import PATIENCE

from optillm_cerebras_cepo.llm import hedging
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.simulator.options import SimulatorOptions
from optillm_cerebras_cepo.simulator.server import Simulator
from optillm_cerebras_cepo.voting import algebra_process

KEY = "csk-0123456789abcdef"
collect_ignore = ["image"]  # checks of the built image, which need an engine: `make image-test`

# How long an example takes says more of the machine than of the code. The suite tries the same examples in each run, so
# that its result depends on the code only. `make explore` tries new ones.
_ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("suite", _ANY_SPEED, derandomize=True)
settings.register_profile("explore", _ANY_SPEED, max_examples=500, print_blob=True)
settings.load_profile("suite")

# Only a child that has died is replaced, and not one on a busy machine.
algebra_process.SILENT_SECONDS = PATIENCE


def pytest_configure() -> None:
    """Take SIGINT again: a script's background ignores it, and so would every program that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Fast tests first: their failures come early. Last where workers share them: none waits for another's long one."""
    shared = hasattr(config, "workerinput")
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None) is shared)


def pytest_collection_finish() -> None:
    """Take all that was imported out of garbage collections: each stops every thread, under load for seconds."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def simulate() -> Iterator[Callable[..., Simulator]]:
    """Start simulated APIs with the given options; they stop with the test."""
    with ExitStack() as running:

        def start(**options: Any) -> Simulator:
            return running.enter_context(Simulator(SimulatorOptions(**options)))

        yield start


@pytest.fixture(scope="session")
def plugins() -> None:
    """Load OptiLLM's plugins, which has to come before its application answers: Flask adds no functions afterwards."""
    from optillm import server

    server.load_plugins()


@pytest.fixture(autouse=True)
def _fresh_runtime() -> Iterator[None]:
    """Let no connection, list of models or learnt refusal pass from one test to the next."""
    RUNTIME.reset()
    yield
    RUNTIME.reset()


@pytest.fixture(autouse=True)
def _no_hedged_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no call be late: the machine's speed would decide how many calls there are. Tests of it set it back."""
    monkeypatch.setattr(hedging, "KNOWN", 10**9)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no variable of the developer's shell steer a test."""
    import os

    for name in list(os.environ):
        if name.startswith(("CEPO_CEREBRAS_", "CEREBRAS_", "OPTILLM_", "OPENAI_", "OTEL_")):
            monkeypatch.delenv(name)
