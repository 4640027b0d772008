"""Errors of the API as our errors; over real HTTP against the simulated API."""

from __future__ import annotations

import pytest
from cerebras.cloud import sdk
from conftest import KEY
from support.sdk_client import Simulate, answering, connect, request

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import Message
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.RefusedCall),
        (401, errors.WrongKey),
        (402, errors.PaymentRequired),
        (403, errors.Forbidden),
        (404, errors.WrongBaseUrl),
        (405, errors.WrongBaseUrl),
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
def test_each_status_has_its_error(simulate: Simulate, status: int, kind: type[CepoError]) -> None:
    """After one HTTP request, and without prompt, key or text of the API."""
    client = answering(simulate, status)
    with pytest.raises(kind) as caught:
        client.complete(request())
    assert type(caught.value) is kind
    assert "the-prompt-itself" not in str(caught.value.body())
    assert KEY not in str(caught.value.body())
    assert "\n" not in caught.value.message


NAMED = "Model llama-3.3-70b does not exist or you do not have access to it."


@pytest.mark.parametrize(
    "body",
    [
        {"message": NAMED, "type": "not_found_error", "param": "model", "code": "model_not_found"},
        {"message": "the-prompt-itself", "type": "t", "param": None, "code": "model_archived"},
        {"message": "no", "param": "model", "code": None},
        {"error": {"message": NAMED, "type": "NotFoundError", "param": None, "code": 404}},
        {"object": "error", "message": NAMED, "type": "NotFoundError", "code": 404},
    ],
)
def test_404_about_the_model_names_the_model(simulate: Simulate, body: dict[str, object]) -> None:
    """Of Cerebras and of similar servers: by code, by field, or by the model's name in the message."""
    with pytest.raises(errors.ModelUnavailable, match=r"llama-3\.3-70b.*CEPO_CEREBRAS_MODEL"):
        answering(simulate, 404, body).complete(request())


@pytest.mark.parametrize("status", [404, 405])
@pytest.mark.parametrize(
    "body",
    [
        "",
        "404 page not found",
        "<html><body>Not Found</body></html>",
        {"detail": "Not Found"},
        {"message": "Unknown request URL: POST /foo", "type": "not_found_error", "param": "url", "code": "not_found"},
        {"error": {"message": "Invalid URL", "type": "invalid_request_error", "param": None, "code": None}},
        {"error": "no such page"},
        ["Not Found"],
    ],
)
def test_any_other_404_is_about_the_base_url(simulate: Simulate, status: int, body: object) -> None:
    """A page, another server's JSON, or nothing: no model is named, and there is no retry."""
    with pytest.raises(errors.WrongBaseUrl, match="check --base-url") as caught:
        answering(simulate, status, body).complete(request())
    assert "llama" not in caught.value.message
    assert (caught.value.status, caught.value.code, caught.value.retryable) == (502, "wrong_base_url", False)


@pytest.mark.parametrize(("code", "said"), [("wrong_api_format", True), ("the-prompt-itself", False), ("x\ny", False)])
def test_of_the_apis_text_only_a_plain_code_is_shown(simulate: Simulate, code: str, said: bool) -> None:
    """A gateway may send anything there."""
    client = answering(simulate, 400, {"message": "no", "type": "t", "param": "p", "code": code})
    with pytest.raises(errors.RefusedCall) as caught:
        client.complete(request())
    assert (code in caught.value.message) is said


def test_sdk_does_not_retry(simulate: Simulate) -> None:
    """Retries in two places multiply."""
    api = simulate(rules=(Rule(reply=Reply(500, {"message": "x"})),))
    with pytest.raises(errors.ApiUnavailable):
        connect(api.url).complete(request())
    assert len(api.chat_calls) == 1


@pytest.mark.parametrize("header", ["7", "7.0"])
def test_retry_after_in_seconds_is_kept(simulate: Simulate, header: str) -> None:
    """The header is undocumented, and used if present."""
    client = answering(simulate, 429, None, **{"retry-after": header})
    with pytest.raises(errors.RateLimited) as caught:
        client.complete(request())
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "nan", "inf", "999999999"])
def test_invalid_retry_after_is_ignored(simulate: Simulate, header: str) -> None:
    """Our own wait is used."""
    client = answering(simulate, 429, None, **{"retry-after": header})
    with pytest.raises(errors.RateLimited) as caught:
        client.complete(request())
    assert caught.value.retry_after is None


def test_refused_field_is_kept_for_the_layer_above(simulate: Simulate) -> None:
    """The simulated API refuses as the recorded one."""
    with pytest.raises(errors.RefusedCall) as caught:
        connect(simulate().url).complete(request(options={"reasoning_effort": "high"}))
    assert "reasoning_effort" in caught.value.api_text


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
def test_prompt_too_long_has_the_apis_numbers(
    simulate: Simulate, text: str, tokens: int | None, limit: int | None
) -> None:
    """Its length includes the reply's 50 tokens; without numbers, none are invented."""
    with pytest.raises(errors.PromptTooLong) as caught:
        answering(simulate, 400, {"message": text}).complete(request())
    assert (caught.value.prompt_tokens, caught.value.limit) == (tokens, limit)
    assert f"at most {limit or 131072:,} tokens" in caught.value.message


def test_prompt_beyond_the_context_is_too_long(simulate: Simulate) -> None:
    """The API's own context error, with the context in the table."""
    long = (Message("user", "word " * 200_000),)
    with pytest.raises(errors.PromptTooLong, match="131,072 tokens"):
        connect(simulate().url).complete(request(messages=long))


def test_wrong_key_shows_in_the_list_of_models(simulate: Simulate) -> None:
    """Before any token is spent."""
    with pytest.raises(errors.WrongKey):
        connect(simulate().url, "nonsense").list_models()


def test_every_error_of_the_sdk_is_translated() -> None:
    """Also one that the SDK does not have yet."""

    class New(sdk.CerebrasError):
        pass

    from optillm_cerebras_cepo.llm.sdk_errors import translate

    assert isinstance(translate(New("?")), errors.UnusableReply)
