"""The SDK behind ChatClient, over real HTTP against the simulated API."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from cerebras.cloud import sdk
from conftest import KEY
from support.once import once
from support.optillm_process import free_port

from optillm_cerebras_cepo import errors
from optillm_cerebras_cepo.chat import ChatRequest, Label, Message, Step, Usage
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.llm.loop import Loop
from optillm_cerebras_cepo.llm.sdk import SdkClient, without_v1
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

LOOP = Loop()
CLIENTS: list[SdkClient] = []
Simulate = Callable[..., Simulator]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close what a test connected."""
    yield
    while CLIENTS:
        CLIENTS.pop().close()


def connect(url: str, key: str = KEY) -> SdkClient:
    """A client of this API."""
    CLIENTS.append(SdkClient(url, key, LOOP))
    return CLIENTS[-1]


def request(**changes: Any) -> ChatRequest:
    """A request with these changes."""
    fields: dict[str, Any] = {
        "model": "llama-3.3-70b",
        "messages": (Message("system", "be brief"), Message("user", "the-prompt-itself")),
        "max_tokens": 50,
        "label": Label(Step.PLAN),
        "temperature": 0.5,
        "timeout": 5.0,
    }
    return ChatRequest(**(fields | changes))


def answering(simulate: Simulate, status: int, body: Any = None, **headers: str) -> SdkClient:
    """A client of an API that answers every call like this."""
    text = body if body is not None else {"message": f"the-prompt-itself {KEY}", "type": "t", "param": "p", "code": "c"}
    return connect(simulate(rules=(Rule(reply=Reply(status, text, headers)),)).url)


def test_a_call_carries_what_the_request_says_and_nothing_else(simulate: Simulate) -> None:
    """Model, messages, limit, temperature and the options: no null, no stream, no effort."""
    api = simulate()
    completion = connect(api.url).complete(request(options={"top_p": 1.0}))
    assert api.chat_calls[0].body == {
        "model": "llama-3.3-70b",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "the-prompt-itself"}],
        "max_completion_tokens": 50,
        "temperature": 0.5,
        "top_p": 1.0,
    }
    assert completion.finish_reason == "stop"
    assert completion.usage == Usage(api.usage.prompt_tokens, api.usage.completion_tokens)
    assert completion.model == "llama-3.3-70b"


def test_no_temperature_is_no_field(simulate: Simulate) -> None:
    """The SDK sends an explicit None as null."""
    api = simulate()
    connect(api.url).complete(request(temperature=None))
    assert "temperature" not in api.chat_calls[0].body


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
def test_a_v1_at_the_end_of_the_address_is_tolerated(simulate: Simulate, ending: str) -> None:
    """The SDK adds /v1 itself; OptiLLM's users are used to writing it."""
    api = simulate()
    assert connect(api.url.rstrip("/") + ending).complete(request()).text
    assert without_v1("https://host/path/v1") == "https://host/path"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.RefusedCall),
        (401, errors.WrongKey),
        (402, errors.PaymentRequired),
        (403, errors.Forbidden),
        (404, errors.ModelUnavailable),
        (408, errors.ApiUnavailable),
        (409, errors.ApiUnavailable),
        (413, errors.CallTooLarge),
        (422, errors.UnprocessableCall),
        (425, errors.ApiUnavailable),
        (429, errors.RateLimited),
        (500, errors.ApiUnavailable),
        (503, errors.ApiUnavailable),
    ],
)
def test_each_status_has_an_error_of_ours(simulate: Simulate, status: int, kind: type[CepoError]) -> None:
    """In one HTTP request, and without a word of prompt, key or the API's own text."""
    client = answering(simulate, status)
    with pytest.raises(kind) as caught:
        client.complete(request())
    assert type(caught.value) is kind
    assert "the-prompt-itself" not in str(caught.value.body())
    assert KEY not in str(caught.value.body())
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("code", "said"), [("wrong_api_format", True), ("the-prompt-itself", False), ("x\ny", False)])
def test_of_the_apis_words_only_a_plain_code_is_told(simulate: Simulate, code: str, said: bool) -> None:
    """A gateway may write anything there."""
    client = answering(simulate, 400, {"message": "no", "type": "t", "param": "p", "code": code})
    with pytest.raises(errors.RefusedCall) as caught:
        client.complete(request())
    assert (code in caught.value.message) is said


def test_the_sdk_does_not_retry(simulate: Simulate) -> None:
    """Two places that retry multiply."""
    api = simulate(rules=(Rule(reply=Reply(500, {"message": "x"})),))
    with pytest.raises(errors.ApiUnavailable):
        connect(api.url).complete(request())
    assert len(api.chat_calls) == 1


@pytest.mark.parametrize("header", ["7", "7.0"])
def test_a_retry_after_in_seconds_is_kept(simulate: Simulate, header: str) -> None:
    """The header is undocumented: used when present."""
    client = answering(simulate, 429, None, **{"retry-after": header})
    with pytest.raises(errors.RateLimited) as caught:
        client.complete(request())
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "nan", "inf", "999999999"])
def test_a_retry_after_that_makes_no_sense_is_ignored(simulate: Simulate, header: str) -> None:
    """Our own wait is as good as a guess."""
    client = answering(simulate, 429, None, **{"retry-after": header})
    with pytest.raises(errors.RateLimited) as caught:
        client.complete(request())
    assert caught.value.retry_after is None


def test_the_field_that_a_refusal_names_is_kept_for_the_layer_above(simulate: Simulate) -> None:
    """The simulated API refuses as the recorded one does."""
    with pytest.raises(errors.RefusedCall) as caught:
        connect(simulate().url).complete(request(options={"reasoning_effort": "high"}))
    assert "reasoning_effort" in caught.value.names


@pytest.mark.parametrize(
    "body",
    [
        "<html>Bad gateway</html>",
        {"object": "chat.completion"},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{"message": "text"}]},
        [],
        5,
    ],
)
def test_a_200_that_is_no_completion_is_said_to_be_none(simulate: Simulate, body: Any) -> None:
    """The SDK validates nothing."""
    with pytest.raises(errors.UnusableReply):
        answering(simulate, 200, body).complete(request())


@pytest.mark.parametrize("fault", ["no_choices", "null_choices"])
def test_a_completion_without_choices_is_empty(simulate: Simulate, fault: Any) -> None:
    """Both shapes were seen; what they took is counted."""
    api = simulate(rules=(Rule(fault=fault),))
    completion = connect(api.url).complete(request())
    assert completion.answer == ""
    assert completion.usage.completion_tokens == api.usage.completion_tokens > 0


def test_missing_usage_is_unknown_and_null_content_is_empty(simulate: Simulate) -> None:
    """Unknown is not zero; no text is no crash."""
    api = simulate(rules=(Rule(fault="no_usage", times=1), Rule(fault="null_content")))
    client = connect(api.url)
    assert client.complete(request()).usage == Usage(None, None)
    assert client.complete(request()).text == ""


@pytest.mark.parametrize("fault", ["close", "cut"])
def test_a_broken_connection_is_unreachable(simulate: Simulate, fault: Any) -> None:
    """Before an answer, and in the middle of one."""
    with pytest.raises(errors.ApiUnreachable):
        connect(simulate(rules=(Rule(fault=fault),)).url).complete(request())


@pytest.mark.parametrize("wrong", [7, ["a"], {"a": 1}, None])
def test_fields_of_another_type_are_read_as_missing(simulate: Simulate, wrong: Any) -> None:
    """A gateway may answer with anything under the names of a completion."""
    choice = {"message": {"content": wrong}, "finish_reason": wrong}
    body = {"choices": [choice], "model": wrong, "usage": {"prompt_tokens": "7", "completion_tokens": wrong}}
    completion = answering(simulate, 200, body).complete(request())
    assert (completion.text, completion.finish_reason, completion.model) == ("", None, "llama-3.3-70b")
    assert completion.usage == Usage(None, wrong if wrong == 7 else None)


def test_a_connection_that_breaks_before_the_answer_is_no_timeout() -> None:
    """Reset by whatever stands between: told apart from an API that is slow."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset() -> None:
            connection, _ = server.accept()
            connection.recv(65_536)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        threading.Thread(target=reset, daemon=True).start()
        with pytest.raises(errors.ApiUnreachable):
            connect(f"http://127.0.0.1:{server.getsockname()[1]}").complete(request())


def test_an_address_that_does_not_answer_times_out() -> None:
    """Its queue of connections is full: the wait for one is within the call's time-out."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(4):
            full = waiting.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(server.getsockname())
        with pytest.raises(errors.ApiTimeout):
            connect(f"http://127.0.0.1:{server.getsockname()[1]}").complete(request(timeout=0.3))


@pytest.mark.parametrize(
    ("text", "tokens", "limit"),
    [
        (
            "Please reduce the length of the messages or completion. Current length is 42328 while limit is 40000",
            42278,
            40000,
        ),
        ("Please reduce the length of the messages. Current length is 49 while limit is 40", 49, 40),
        ("Please reduce the length of the messages or completion.", None, None),
        ("Please reduce the length: Current length is 42328 while limit is 0", None, None),
    ],
)
def test_a_prompt_that_is_too_long_is_told_with_the_apis_figures(
    simulate: Simulate, text: str, tokens: int | None, limit: int | None
) -> None:
    """Its length counts the reply's 50 tokens; where there are no figures, none are made up."""
    with pytest.raises(errors.PromptTooLong) as caught:
        answering(simulate, 400, {"message": text}).complete(request())
    assert (caught.value.prompt_tokens, caught.value.limit) == (tokens, limit)
    assert f"at most {limit or 131072:,} tokens" in caught.value.message


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nx-long: ", b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_reply_that_trickles_is_given_up_in_time(start: bytes, streamed: bool) -> None:
    """A time-out that begins anew with each byte would wait for ever; and the connection is closed."""
    gone = threading.Event()

    def trickle(server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.recv(65_536)
        with connection, contextlib.suppress(OSError):
            connection.sendall(start)
            while True:
                connection.sendall(b"H")
                time.sleep(0.02)
        gone.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=trickle, args=(server,), daemon=True).start()
        client = connect(f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(errors.ApiTimeout):
            client.complete(request(timeout=0.3, listener=(lambda _: None) if streamed else None))
        assert gone.wait(30)


def test_a_name_that_does_not_resolve_is_an_api_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name servers fail for a moment too, so it is tried again."""

    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(errors.ApiUnreachable) as caught:
        connect("http://api.invalid").complete(request())
    assert caught.value.transient


def test_a_list_of_models_that_does_not_come_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes before the first call: a host that accepts and says nothing shows soon."""
    monkeypatch.setattr("optillm_cerebras_cepo.llm.sdk.LIST_TIMEOUT", 0.3)
    started = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(errors.ApiTimeout):
        connect(f"http://127.0.0.1:{server.getsockname()[1]}").list_models()
    assert time.monotonic() - started < 10


def test_a_proxy_of_the_environment_is_used(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the SDK itself: many servers reach the API through one."""
    proxy = simulate()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert connect("http://api.invalid").complete(request()).text
    assert len(proxy.chat_calls) == 1


def test_a_process_that_made_calls_ends_without_a_complaint(simulate: Simulate) -> None:
    """Connections are closed at exit: aiohttp would complain of those that are not."""
    code = (
        "from optillm_cerebras_cepo.runtime import RUNTIME\n"
        "import sys\n"
        f"assert RUNTIME.client(sys.argv[1], {KEY!r}).list_models()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, simulate().url], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "HTTP Request" in done.stderr  # OptiLLM has errors and warnings written
    assert "ERROR" not in done.stderr
    assert "Unclosed" not in done.stderr


def test_nobody_there_is_unreachable() -> None:
    """A refused connection says what to check."""
    with pytest.raises(errors.ApiUnreachable, match="base-url"):
        connect(f"http://127.0.0.1:{free_port()}").complete(request())


def test_a_call_that_takes_too_long_times_out(simulate: Simulate) -> None:
    """At the request's own time-out."""
    with pytest.raises(errors.ApiTimeout):
        connect(simulate(rules=(Rule(latency=5.0),)).url).complete(request(timeout=0.2))


def test_a_prompt_beyond_the_context_is_too_long(simulate: Simulate) -> None:
    """The API's own context error, with the context that the table knows."""
    long = (Message("user", "word " * 200_000),)
    with pytest.raises(errors.PromptTooLong, match="131,072 tokens"):
        connect(simulate().url).complete(request(messages=long))


def test_the_list_of_models_is_the_apis(simulate: Simulate) -> None:
    """Ids only; that is all that the list gives."""
    api = simulate(models=("gpt-oss-120b", "qwen-3.8-27b"))
    assert set(connect(api.url).list_models()) == {"gpt-oss-120b", "qwen-3.8-27b"}


def test_a_wrong_key_shows_in_the_list_already(simulate: Simulate) -> None:
    """Before any token is spent."""
    with pytest.raises(errors.WrongKey):
        connect(simulate().url, "nonsense").list_models()


def test_one_client_serves_the_whole_process(simulate: Simulate) -> None:
    """Per address and key, with its connection kept alive, and without the SDK's warm-up call."""
    api, runtime = simulate(), Runtime()
    for ending in ("", "/", "/v1"):
        runtime.client(api.url.rstrip("/") + ending, KEY).complete(request())
    assert runtime.client(api.url, KEY) is runtime.client(api.url, KEY)
    assert runtime.client(api.url, KEY) is not runtime.client(api.url, "csk-other")
    assert (api.connections, api.warmings) == (1, 0)
    runtime.reset()


def test_every_error_of_the_sdk_becomes_ours() -> None:
    """Also one that the SDK does not have yet."""

    class New(sdk.CerebrasError):
        pass

    from optillm_cerebras_cepo.llm.sdk import translate

    assert isinstance(translate(New("?")), errors.UnusableReply)


def test_a_call_in_flight_is_given_up_when_its_request_ends(simulate: Simulate) -> None:
    """At once, and the API sees that nobody waits."""
    api = simulate(rules=(Rule(latency=30.0),))
    deadline = Deadline(60)
    once(lambda: bool(api.in_flight), deadline.end)
    started = time.monotonic()
    with pytest.raises(errors.Ended):
        connect(api.url).complete(request(deadline=deadline, timeout=60.0))
    assert time.monotonic() - started < 10
    while api.in_flight:
        assert time.monotonic() - started < 10
        time.sleep(0.01)
    assert [call.status for call in api.chat_calls] == [CLIENT_GONE]


def test_the_error_of_a_call_that_was_given_up_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody asks for it."""

    async def breaks() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("broken while it was closed") from None

    async def nothing() -> None:
        await asyncio.sleep(0)

    deadline = Deadline(60)
    threading.Timer(0.2, deadline.end).start()
    with pytest.raises(errors.Ended):
        LOOP.run(breaks(), deadline)
    for _ in range(3):
        LOOP.run(nothing())  # by then the loop is done with the other
    gc.collect()
    assert caplog.records == []


def test_a_call_of_an_ended_request_does_not_start(simulate: Simulate) -> None:
    """What ended the request is what its calls are told."""
    api = simulate()
    deadline = Deadline(60)
    deadline.end(errors.WrongKey("wrong"))
    with pytest.raises(errors.WrongKey):
        connect(api.url).complete(request(deadline=deadline))
    assert api.chat_calls == ()
