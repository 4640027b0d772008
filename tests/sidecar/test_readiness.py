from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from aiohttp import ClientSession, web
from support.gateway import background

from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.sidecar.readiness import READY_INTERVAL, RETRY_INTERVALS, Readiness
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

KEY = "csk-0123456789abcdef"


@pytest.fixture
def keyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a key in the environment."""
    monkeypatch.setenv("CEREBRAS_API_KEY", KEY)


@pytest.mark.usefixtures("keyed")
def test_ready_when_the_api_lists_the_model(simulate: Callable[..., Simulator]) -> None:
    """Under the API's own id."""
    api = simulate()
    readiness = Readiness(RUNTIME, api.url, ["llama3.3-70b"])
    assert readiness.state.model is None
    assert readiness.check().model == "llama-3.3-70b"
    assert readiness.state.model == "llama-3.3-70b"


@pytest.mark.usefixtures("keyed")
def test_not_ready_if_the_model_is_not_served(simulate: Callable[..., Simulator]) -> None:
    """The reason names the served models and the variable."""
    readiness = Readiness(RUNTIME, simulate().url, ["llama-9"])
    state = readiness.check()
    assert state.model is None
    assert "llama-9" in state.reason
    assert "CEPO_CEREBRAS_MODEL" in state.reason


@pytest.mark.usefixtures("keyed")
def test_not_ready_if_the_api_is_unreachable() -> None:
    """The reason has neither a traceback nor the key."""
    state = Readiness(RUNTIME, "http://127.0.0.1:9", ["llama3.3-70b"]).check()
    assert state.model is None
    assert "cannot be reached" in state.reason
    assert KEY not in state.reason


def listless(api: Simulator) -> AbstractContextManager[str]:
    """Run a server that has an API's chat endpoint but no list of models; yield its base URL."""

    async def chat(request: web.Request) -> web.Response:
        async with ClientSession() as session:
            answer = await session.post(f"{api.url}{request.path}", data=await request.read(), headers=request.headers)
            return web.json_response(await answer.json(), status=answer.status)

    return background({("POST", "/v1/chat/completions"): chat})


@pytest.mark.usefixtures("keyed")
def test_ready_without_a_list_after_a_chat_call(simulate: Callable[..., Simulator]) -> None:
    """One call that costs nothing; the model is the first wanted one."""
    api = simulate()
    with listless(api) as url:
        readiness = Readiness(RUNTIME, url, ["llama3.3-70b"])
        for _ in range(3):
            assert readiness.check().model == "llama-3.3-70b"
    assert [call.status for call in api.chat_calls] == [400]


@pytest.mark.usefixtures("keyed")
def test_not_ready_without_a_list_if_the_key_is_wrong(simulate: Callable[..., Simulator]) -> None:
    """It shows before the first request."""
    with listless(simulate(keys=("csk-another",))) as url:
        state = Readiness(RUNTIME, url, ["llama3.3-70b"]).check()
    assert state.model is None
    assert "CEREBRAS_API_KEY" in state.reason


@pytest.mark.usefixtures("keyed")
def test_not_ready_if_the_base_url_is_not_an_api() -> None:
    """Everything is 404, and the reason says what to check."""
    with background({}) as url:
        readiness = Readiness(RUNTIME, url, ["llama3.3-70b"])
        for _ in range(2):
            state = readiness.check()
            assert state.model is None
            assert "check --base-url" in state.reason


def test_not_ready_without_a_key(simulate: Callable[..., Simulator]) -> None:
    """The reason names the variable; no call is made."""
    api = simulate()
    state = Readiness(RUNTIME, api.url, ["llama3.3-70b"]).check()
    assert state.model is None
    assert "CEREBRAS_API_KEY" in state.reason
    assert not api.calls


def test_a_misspelt_variable_is_the_reason(simulate: Callable[..., Simulator], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named with the right one."""
    monkeypatch.setenv("CEREBRAS_APIKEY", KEY)
    state = Readiness(RUNTIME, simulate().url, ["llama3.3-70b"]).check()
    assert state.reason == "CEREBRAS_API_KEY is not set; CEREBRAS_APIKEY is: rename it."


@pytest.mark.parametrize(
    ("models", "key", "words"),
    [
        (("llama-3.3-70b",), KEY, "does not serve llama3-70b; did you mean llama-3.3-70b?"),
        (("gpt-oss-120b",), KEY, "does not serve llama3-70b. It serves: gpt-oss-120b."),
        ((), KEY, "lists no model"),
        (("llama-3.3-70b",), "csk-wrong", "does not know the key"),
        (("llama-3.3-70b",), "", "no Cerebras API key"),
    ],
    ids=["misspelt model", "another model", "empty list", "wrong key", "no key"],
)
def test_each_reason_is_logged_once(
    simulate: Callable[..., Simulator],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    models: tuple[str, ...],
    key: str,
    words: str,
) -> None:
    """As a warning that says what to do, at the first of several checks with the same result."""
    monkeypatch.setenv("CEREBRAS_API_KEY", key)
    lists = () if models else (Reply(200, {"object": "list", "data": []}),) * 3
    api = simulate(models=models or ("gpt-oss-120b",), keys=(KEY,), lists=lists)
    readiness = Readiness(RUNTIME, api.url, ["llama3-70b"])
    _check(readiness, 3)
    (record,) = [record for record in caplog.records if record.name == "optillm_cerebras_cepo"]
    assert record.levelname == "WARNING"
    assert words in record.getMessage()
    assert readiness.state.model is None


@pytest.mark.usefixtures("keyed")
def test_a_changed_reason_is_logged(simulate: Callable[..., Simulator], caplog: pytest.LogCaptureFixture) -> None:
    """And that the server is ready."""
    caplog.set_level("INFO", "optillm_cerebras_cepo")
    readiness = Readiness(RUNTIME, "http://127.0.0.1:9", ["llama3.3-70b"])
    steps = ["http://127.0.0.1:9", simulate(models=("gpt-oss-120b",)).url, simulate().url, simulate().url]

    def point_elsewhere(_: float) -> None:
        readiness._base_url = steps.pop(0)
        if not steps:
            readiness.stop()

    readiness._run(point_elsewhere)
    levels = [record.levelname for record in caplog.records if record.name == "optillm_cerebras_cepo"]
    assert levels == ["WARNING", "WARNING", "INFO"]


def _check(readiness: Readiness, times: int) -> None:
    """Let the thread's function check so often."""
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == times:
            readiness.stop()

    readiness._run(wait)


@pytest.mark.usefixtures("keyed")
def test_intervals_between_checks(simulate: Callable[..., Simulator]) -> None:
    """After a failure 1 s, then longer; 30 s while the API is available."""
    api = simulate()
    readiness = Readiness(RUNTIME, "http://127.0.0.1:9", ["llama3.3-70b"])
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 5:
            readiness._base_url = api.url
        if len(waits) == 6:
            readiness.stop()

    readiness._run(wait)
    assert waits == [*RETRY_INTERVALS, RETRY_INTERVALS[-1], READY_INTERVAL]
