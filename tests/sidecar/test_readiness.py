from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from aiohttp import ClientSession, web
from support.gateway import background

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


def listless(api: Simulator) -> AbstractContextManager[str]:
    """The base URL of a server that has the chat endpoint of an API and no list of models."""

    async def chat(request: web.Request) -> web.Response:
        async with ClientSession() as session:
            answer = await session.post(f"{api.url}{request.path}", data=await request.read(), headers=request.headers)
            return web.json_response(await answer.json(), status=answer.status)

    return background({("POST", "/v1/chat/completions"): chat})


@pytest.mark.usefixtures("keyed")
def test_ready_without_a_list_once_the_chat_endpoint_has_answered(simulate: Callable[..., Simulator]) -> None:
    """It is asked once, with a call that costs nothing; the model is the first wanted one."""
    api = simulate()
    with listless(api) as url:
        readiness = Readiness(RUNTIME, url, ["llama3.3-70b"])
        for _ in range(3):
            assert readiness.look().model == "llama-3.3-70b"
    assert [call.status for call in api.chat_calls] == [400]


@pytest.mark.usefixtures("keyed")
def test_not_ready_without_a_list_where_the_key_is_wrong(simulate: Callable[..., Simulator]) -> None:
    """What each question would be answered shows before the first."""
    with listless(simulate(keys=("csk-another",))) as url:
        state = Readiness(RUNTIME, url, ["llama3.3-70b"]).look()
    assert state.model is None
    assert "CEREBRAS_API_KEY" in state.reason


@pytest.mark.usefixtures("keyed")
def test_not_ready_where_the_base_url_leads_elsewhere() -> None:
    """A server that answers 404 to everything is no API, and the reason says what to check."""
    with background({}) as url:
        readiness = Readiness(RUNTIME, url, ["llama3.3-70b"])
        for _ in range(2):
            state = readiness.look()
            assert state.model is None
            assert "check --base-url" in state.reason


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
