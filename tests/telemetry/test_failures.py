"""Spans of what goes wrong: waits, retries, second calls, errors, hang-ups. Every span ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import StatusCode
from pytest_mock import MockerFixture
from support.once import once
from support.spans import Spans, attributes, events, ours
from support.waiting import until

from optillm_cerebras_cepo.core.chat import ChatRequest, Label, Step
from optillm_cerebras_cepo.core.errors import ApiUnavailable, OutOfBudget, RateLimited, UnusableReply
from optillm_cerebras_cepo.core.events import CallDelayed
from optillm_cerebras_cepo.host import execution
from optillm_cerebras_cepo.llm import hedging
from optillm_cerebras_cepo.llm.hedging import KNOWN
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.simulator import CLIENT_GONE, Reply, Rule, Simulator
from optillm_cerebras_cepo.telemetry import spans as module
from optillm_cerebras_cepo.telemetry.spans import RequestSpans, tracer_of

CALL = "chat llama-3.3-70b"
DIRECT = {"cepo_cerebras_effort": "none"}
PLAN = ChatRequest("m", (), 100, Label(Step.PLAN, 1))


def started(provider: TracerProvider) -> RequestSpans:
    """Return the spans of a request that nobody answers."""
    tracer = tracer_of(provider)
    return RequestSpans(tracer, tracer.start_span("request"), Context(), "http://api")


def error_of(span: Any) -> tuple[StatusCode, Any]:
    """Return a span's status and its error.type."""
    return span.status.status_code, attributes(span).get("error.type")


def test_a_retry_is_a_call_of_its_own(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """The step has the wait between the two; the request is answered, and has no error."""
    api = simulate(rules=(Rule(times=2, reply=Reply(503, "later")),))
    assert serve(api)(**DIRECT).status_code == 200
    calls = spans.named(CALL)
    assert [error_of(call) for call in calls] == [
        (StatusCode.ERROR, "api_unavailable"),
        (StatusCode.ERROR, "api_unavailable"),
        (StatusCode.UNSET, None),
    ]
    assert [attributes(call).get("http.request.resend_count") for call in calls] == [None, 1, 2]
    assert calls[0].status.description == "the Cerebras API answered 503; try again later"
    (step,) = spans.named("direct")
    waits = events(step)
    assert [name for name, _ in waits] == ["cepo_cerebras.wait"] * 2
    assert [said["error.type"] for _, said in waits] == ["api_unavailable"] * 2
    assert all(0.25 <= said["cepo_cerebras.seconds"] <= 1 for _, said in waits)
    assert error_of(spans.root) == (StatusCode.UNSET, None)


def test_an_empty_reply_is_answered_and_asked_again(
    serve: Any, simulate: Callable[..., Simulator], spans: Spans
) -> None:
    """The first call was no failure of the API's, but the second one is its retry."""
    api = simulate(rules=(Rule(times=1, fault="empty_content"),))
    assert serve(api)(**DIRECT).status_code == 200
    calls = spans.named(CALL)
    assert [error_of(call) for call in calls] == [(StatusCode.UNSET, None)] * 2
    assert [attributes(call).get("http.request.resend_count") for call in calls] == [None, 1]
    ((_, said),) = events(spans.named("direct")[0])
    assert said["error.type"] == "unusable_reply"


def test_only_the_call_after_its_wait_is_a_retry(provider: TracerProvider, spans: Spans) -> None:
    """Neither one that waits for a rate limit, nor another one on a thread whose last call failed."""
    it, failure = started(provider), ApiUnavailable("later")
    it.observe(CallDelayed(PLAN.label, 1.0, RateLimited("the limit is used up")))
    it.begin(PLAN)(failure, 0.0)
    it.begin(PLAN)(failure, 0.0)
    it.observe(CallDelayed(PLAN.label, 1.0, failure))
    it.observe(CallDelayed(PLAN.label, 1.0, RateLimited("the limit is used up")))
    it.begin(PLAN)(failure, 0.0)
    it.observe(CallDelayed(PLAN.label, 1.0, UnusableReply("empty")))
    it.begin(PLAN)(failure, 0.0)
    assert [attributes(call).get("http.request.resend_count") for call in spans.named("chat m")] == [None, None, 1, 2]


def test_a_second_call_is_marked(
    serve: Any, simulate: Callable[..., Simulator], spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The late call is cancelled, which is no error."""
    monkeypatch.setattr(hedging, "KNOWN", KNOWN)
    monkeypatch.setenv("CEPO_CEREBRAS_RPM", "1000000")
    ask = serve(simulate(rules=(Rule(pattern="held", times=1, held=True),)))
    for number in range(KNOWN):
        ask(**DIRECT, messages=[{"role": "user", "content": f"question {number}"}])
    before = {span.context.span_id for span in spans.all}
    ask(**DIRECT, messages=[{"role": "user", "content": "this one is held"}])
    ours_now = Spans(lambda: [span for span in spans.all if span.context.span_id not in before])
    first, second = ours_now.named(CALL)
    assert ours(first)["superseded"] is True
    assert ours(second)["second_call"] is True
    assert {error_of(first), error_of(second)} == {(StatusCode.UNSET, None)}
    (step,) = ours_now.named("direct")
    assert [name for name, _ in events(step)] == ["cepo_cerebras.second_call"]
    assert ours(ours_now.root)["hedged"] == 1


def test_a_failed_request(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """The request has the error of the response, and what was spent."""
    api = simulate(rules=(Rule(reply=Reply(401, {"message": "no"})),))
    response = serve(api)(**DIRECT)
    error = response.get_json()["error"]
    assert (response.status_code, error["code"]) == (401, "wrong_api_key")
    assert error_of(spans.root) == (StatusCode.ERROR, "wrong_api_key")
    assert str(spans.root.status.description).lower().rstrip(".") == error["message"].lower().rstrip(".")
    assert ours(spans.root)["calls"] == 1
    assert error_of(spans.named(CALL)[0]) == (StatusCode.ERROR, "wrong_api_key")


def test_a_request_without_a_model_has_one_span(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """No call is made."""
    assert serve(simulate())(cepo_cerebras_model="no-such-model").status_code == 404
    assert spans.tree() == ["invoke_agent cepo_cerebras"]
    assert error_of(spans.root) == (StatusCode.ERROR, "model_not_found")


def test_a_lost_candidate_is_counted(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """By the request, among what failed and was left out."""
    api = simulate(rules=(Rule(times=1, reply=Reply(422, {"message": "no"})),))
    body = {"cepo_cerebras_bestofn_n": 2, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
    reply = serve(api)(**body).get_json()["cepo_cerebras"]
    assert ours(spans.root)["degraded"] == len(reply["degraded"]) == 1


def test_a_defect_is_an_error(
    serve: Any, simulate: Callable[..., Simulator], spans: Spans, mocker: MockerFixture
) -> None:
    """Without its message, which may quote a prompt."""
    mocker.patch.object(RUNTIME, "answer", side_effect=ValueError("a prompt"))
    assert serve(simulate())(**DIRECT).status_code == 500
    assert error_of(spans.root) == (StatusCode.ERROR, "api_error")
    assert spans.root.status.description == "internal error"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_hangs_up(
    serve: Any, simulate: Callable[..., Simulator], spans: Spans, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """All calls in flight end, and so does each span."""
    api, gone = simulate(rules=(Rule(fault="hang"),)), list[bool]()
    monkeypatch.setattr(execution, "POLL", 0.01)
    monkeypatch.setenv("CEPO_CEREBRAS_RPM", "6000")  # else few calls go out before the API's first reply
    once(lambda: api.in_flight == 9, lambda: gone.append(True))
    response = serve(api)(environ={"waitress.client_disconnected": lambda: bool(gone)}, stream=stream)
    response.get_data()
    response.close()
    until(lambda: spans.named("invoke_agent cepo_cerebras"))
    until(lambda: api.in_flight == 0)
    assert [call.status for call in api.chat_calls] == [CLIENT_GONE] * 9
    assert error_of(spans.root) == (StatusCode.ERROR, "ended")
    assert [error_of(call) for call in spans.named(CALL)] == [(StatusCode.ERROR, "ended")] * 9
    assert len(spans.all) == 1 + 3 + 3 + 9


def test_a_call_that_was_not_sent_has_no_span(provider: TracerProvider, spans: Spans) -> None:
    """Nor has its step."""
    it, error = started(provider), OutOfBudget("all calls are used")
    error.sent = False
    it.begin(PLAN)(error, 0.0)
    it.finish(error)
    assert spans.tree() == ["request"]


def test_a_call_that_ends_after_its_request(provider: TracerProvider, spans: Spans) -> None:
    """Belongs to what has ended, and ends too."""
    it = started(provider)
    late, later = it.begin(PLAN), it.begin(ChatRequest("m", (), 100, Label(Step.FINAL, 2)))
    late(ApiUnavailable("later"), 0.0)
    late_again = it.begin(PLAN)
    it.finish(ApiUnavailable("later"))
    late_again(ApiUnavailable("later"), 0.0)
    later(ApiUnavailable("later"), 0.0)
    assert sorted(spans.tree()) == sorted(
        ["request", "  candidate 1", "    plan", "      chat m", "      chat m", "  chat m"]
    )


class Broken(SpanProcessor):
    """An embedding program's processor that fails."""

    def __init__(self, starts: bool) -> None:
        self._starts = starts

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Fail, unless spans can be started."""
        if not self._starts:
            raise ValueError(f"a processor's message of {span.name} in {parent_context}")

    def on_end(self, span: ReadableSpan) -> None:
        """Fail."""
        raise ValueError(f"a processor's message of {span.name}")


@pytest.mark.parametrize("starts", [False, True])
def test_a_broken_processor_costs_no_answer(
    serve: Any,
    simulate: Callable[..., Simulator],
    provider: TracerProvider,
    caplog: pytest.LogCaptureFixture,
    starts: bool,
) -> None:
    """Nor any call. One line of the log names the exception."""
    module._reported.clear()
    provider.add_span_processor(Broken(starts))
    api = simulate()
    with caplog.at_level(logging.ERROR, logger="optillm_cerebras_cepo"):
        assert serve(api)().status_code == 200
    assert len(api.chat_calls) == 24
    assert [record.getMessage() for record in caplog.records if "span" in record.getMessage()] == [
        "cepo_cerebras: a span is lost: OpenTelemetry raised ValueError"
    ]


def test_an_unsampled_request_has_no_spans(
    serve: Any, simulate: Callable[..., Simulator], mocker: MockerFixture, spans: Spans
) -> None:
    """And no call is recorded for any."""
    begin = mocker.spy(RequestSpans, "begin")
    unsampled = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
    assert serve(simulate())(headers=unsampled, **DIRECT).status_code == 200
    assert spans.all == []
    assert begin.call_count == 0
