"""Spans of answered requests: request, candidate, step, call, with what the conventions and the reply say of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from support.spans import Spans, attributes, events, ours, period

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.simulator import Rule, Simulator

REQUEST = "invoke_agent cepo_cerebras"
CALL = "chat llama-3.3-70b"
DIRECT = {"cepo_cerebras_effort": "none"}
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
DIFFERENT = (
    Rule(r"Rating: \[\[", text=("Rating: [[0]]", "Rating: [[1]]")),
    Rule(text=tuple(f"The answer is {number}." for number in range(40))),
)


def test_medium(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """Three candidates, each with its four steps; a span for each of the 24 calls."""
    ask = serve(simulate())
    reply = ask().get_json()["cepo_cerebras"]
    assert spans.root.name == REQUEST
    candidates = spans.below(spans.root)
    assert sorted(span.name for span in candidates) == ["candidate 1", "candidate 2", "candidate 3"]
    for candidate in candidates:
        steps = {span.name: spans.below(span) for span in spans.below(candidate)}
        assert {name: len(calls) for name, calls in steps.items()} == {
            "plan": 3,
            "execute": 3,
            "review": 1,
            "final": 1,
        }
        assert {call.name for calls in steps.values() for call in calls} == {CALL}
    assert Counter(span.kind for span in spans.all) == {
        SpanKind.SERVER: 1,
        SpanKind.INTERNAL: 3 + 12,
        SpanKind.CLIENT: 24,
    }
    assert {span.status.status_code for span in spans.all} == {StatusCode.UNSET}
    assert [ours(one)["chosen"] for one in candidates].count(True) == 1
    assert reply["calls"] == 24


def test_a_span_contains_those_in_it(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """In time; and a step or a candidate ends with its last call."""
    serve(simulate())()
    for span in spans.all:
        began, ended = period(span)
        within = [period(child) for child in spans.below(span)]
        assert all(began <= first <= last <= ended for first, last in within)
        if within and span is not spans.root:
            assert (began, ended) == (min(first for first, _ in within), max(last for _, last in within))


def test_the_request_says_what_the_reply_says(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """Tokens by the conventions' names; effort, ratings, agreement and cost under ours."""
    reply = serve(simulate(rules=DIFFERENT))(cepo_cerebras_rate_always=True).get_json()
    said, found, mine = reply["cepo_cerebras"], attributes(spans.root), ours(spans.root)
    conventional = {name: value for name, value in found.items() if not name.startswith("cepo_cerebras.")}
    assert conventional == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "cerebras",
        "gen_ai.agent.name": "cepo_cerebras",
        "gen_ai.agent.version": __version__,
        "gen_ai.request.model": "llama-3.3-70b",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": reply["usage"]["prompt_tokens"],
        "gen_ai.usage.output_tokens": reply["usage"]["completion_tokens"],
    }
    same = ("effort", "planned", "calls", "hedged", "uncounted", "cost", "agreement")
    assert {name: mine[name] for name in same} == {name: said[name] for name in same}
    ratings = {one["candidate"]: one["rating"] for one in said["candidates"]}
    assert mine["ratings"] == tuple(ratings.values())
    assert mine["chosen"] == next(one["candidate"] for one in said["candidates"] if one["chosen"])
    by_candidate = {ours(span)["candidate"]: ours(span)["rating"] for span in spans.below(spans.root)}
    assert by_candidate == ratings
    assert (mine["degraded"], mine["fitted"]) == (0, 0)
    assert "rating_model" not in mine
    compared = {"cepo_cerebras.agreeing": 1, "cepo_cerebras.compared": 3}
    assert events(spans.root) == [("cepo_cerebras.candidates_compared", compared)]


def test_a_call_says_what_was_sent_and_what_it_took(
    serve: Any, simulate: Callable[..., Simulator], spans: Spans
) -> None:
    """By the names of the conventions; all calls together are what the API counted."""
    api = simulate()
    assert serve(api)(**SMALL, temperature=0.5, seed=7, max_tokens=50).status_code == 200
    calls, sent = spans.named(CALL), api.chat_calls[-1].body
    assert [ours(call)["step"] for call in calls] == ["plan", "execute", "review", "final"]
    assert attributes(calls[-1]) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "cerebras",
        "gen_ai.request.model": "llama-3.3-70b",
        "gen_ai.request.max_tokens": sent["max_completion_tokens"],
        "gen_ai.request.temperature": sent["temperature"],
        "gen_ai.request.top_p": sent["top_p"],
        "gen_ai.request.seed": sent["seed"],
        "gen_ai.response.model": "llama-3.3-70b",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": api.chat_calls[-1].prompt_tokens,
        "gen_ai.usage.output_tokens": api.chat_calls[-1].completion_tokens,
        "server.address": "127.0.0.1",
        "server.port": int(api.url.rpartition(":")[2]),
        "cepo_cerebras.step": "final",
        "cepo_cerebras.candidate": 1,
    }
    assert sum(attributes(call)["gen_ai.usage.input_tokens"] for call in calls) == api.usage.prompt_tokens


def test_a_direct_answer(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """One step without a candidate, and one call."""
    assert serve(simulate())(**DIRECT).status_code == 200
    assert spans.tree() == [REQUEST, "  direct", f"    {CALL}"]
    assert ours(spans.root)["planned"] is False
    assert not {"chosen", "agreement", "ratings"} & ours(spans.root).keys()


def test_auto(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """One candidate, whose plans agree: five calls, and no review."""
    assert serve(simulate())(cepo_cerebras_effort="auto").status_code == 200
    (candidate,) = spans.below(spans.root)
    assert [span.name for span in spans.below(candidate)] == ["plan", "execute", "final"]
    compared = {"cepo_cerebras.agreeing": 2, "cepo_cerebras.compared": 2}
    assert events(candidate) == [("cepo_cerebras.plans_compared", compared)]


@pytest.mark.parametrize("body", [SMALL, DIRECT, {"cepo_cerebras_effort": "auto"}], ids=str)
def test_a_stream_has_the_same_spans(
    serve: Any, simulate: Callable[..., Simulator], spans: Spans, body: dict[str, Any]
) -> None:
    """Though another thread works on it."""
    ask = serve(simulate())
    assert ask(**body).status_code == 200
    whole, ids = spans.tree(), {span.context.span_id for span in spans.all}
    assert ask(**body, stream=True).get_data(as_text=True).endswith("data: [DONE]\n\n")
    streamed = Spans(lambda: [span for span in spans.all if span.context.span_id not in ids])
    assert streamed.tree() == whole
    assert attributes(streamed.root)["gen_ai.request.stream"] is True
    if body == DIRECT:
        assert attributes(streamed.named(CALL)[0])["gen_ai.request.stream"] is True


def test_several_answers_are_one_request(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """Of which each direct one is a candidate."""
    assert serve(simulate())(**DIRECT, n=2).status_code == 200
    assert attributes(spans.root)["gen_ai.request.choice.count"] == 2
    assert [line.strip() for line in spans.tree()].count("direct") == 2


def test_each_request_is_a_trace_of_its_own(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """Where no caller names one."""
    ask = serve(simulate())
    for _ in range(2):
        ask(**DIRECT)
    assert len({span.context.trace_id for span in spans.all}) == 2
    assert len(spans.all) == 6


def test_a_combination_has_a_request_for_each_part(
    serve: Any, simulate: Callable[..., Simulator], spans: Spans
) -> None:
    """OptiLLM calls the plugin twice."""
    assert serve(simulate())(**SMALL, optillm_approach="cepo_cerebras&cepo_cerebras").status_code == 200
    assert len(spans.named(REQUEST)) == 2
    assert len(spans.named(CALL)) == 8
