from collections.abc import Callable

import pytest

from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.sidecar.readiness import ILL, WELL, Readiness
from optillm_cerebras_cepo.simulator.server import Simulator

KEY = "csk-0123456789abcdef"


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment."""
    monkeypatch.setenv("CEREBRAS_API_KEY", KEY)


@pytest.mark.usefixtures("keyed")
def test_ready_once_the_api_lists_the_model(simulate: Callable[..., Simulator]) -> None:
    """Under its own id; and the list is kept for the requests to come."""
    api = simulate()
    readiness = Readiness(RUNTIME, api.url, ["llama3.3-70b"])
    assert readiness.state.model is None
    assert readiness.look().model == "llama-3.3-70b"
    assert readiness.state.model == "llama-3.3-70b"


@pytest.mark.usefixtures("keyed")
def test_not_ready_where_the_model_is_not_served(simulate: Callable[..., Simulator]) -> None:
    """The reason names those that are, and the variable."""
    readiness = Readiness(RUNTIME, simulate().url, ["llama-9"])
    state = readiness.look()
    assert state.model is None
    assert "llama-9" in state.reason
    assert "CEPO_CEREBRAS_MODEL" in state.reason


@pytest.mark.usefixtures("keyed")
def test_not_ready_where_nobody_listens() -> None:
    """Nor is a trace or the key in the reason."""
    state = Readiness(RUNTIME, "http://127.0.0.1:9", ["llama3.3-70b"]).look()
    assert state.model is None
    assert "cannot be reached" in state.reason
    assert KEY not in state.reason


def test_not_ready_without_a_key(simulate: Callable[..., Simulator]) -> None:
    """It says which variable is missing; the API is not asked."""
    state = Readiness(RUNTIME, simulate().url, ["llama3.3-70b"]).look()
    assert (state.model, state.reason) == (None, "CEREBRAS_API_KEY is not set, nor CEREBRAS_API_KEY_FILE")


@pytest.mark.usefixtures("keyed")
def test_looks_seldom_when_well_and_soon_when_ill(simulate: Callable[..., Simulator]) -> None:
    """An API that is away is asked again after a second, then less and less; one that is there every half minute."""
    api = simulate()
    readiness = Readiness(RUNTIME, "http://127.0.0.1:9", ["llama3.3-70b"])
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 5:
            readiness._base_url = api.url
        if len(waits) == 6:
            readiness.stop()

    readiness._watch(wait)
    assert waits == [*ILL, ILL[-1], WELL]
