"""Adaptive token limits: learned from replies, and no reply is cut by them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Scripted

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.llm.metering import KINDS, KNOWN, WINDOW, AdaptiveMaxTokens, ReplyLengths

PLAN = Label(Step.PLAN)


def request(step: Step = Step.PLAN, model: str = "m", kind: str = "") -> ChatRequest:
    """A call with a limit of 4096."""
    return ChatRequest(model, (Message("user", "q"),), 4096, Label(step, kind=kind))


def replies(length: int) -> Any:
    """Return a model whose replies have this length and are cut at the requested limit."""

    def answer(asked: ChatRequest) -> Completion:
        most = min(length, asked.max_tokens)
        return Completion("m", "w" * most, "stop" if most == length else "length", Usage(1, most))

    return Scripted(answer)


def test_whole_limit_until_lengths_are_known() -> None:
    """After that, a quarter more than 95 % of the replies took."""
    api, lengths = replies(400), ReplyLengths()
    for _ in range(KNOWN + 1):
        AdaptiveMaxTokens(api, lengths).complete(request())
    assert [asked.max_tokens for asked in api.requests] == [4096] * KNOWN + [500]


def test_lengths_are_learned_by_step_model_and_kind() -> None:
    """A rating is shorter than a plan, and a comparison of two answers is longer than a rating."""
    api, lengths = replies(400), ReplyLengths()
    for _ in range(KNOWN):
        AdaptiveMaxTokens(api, lengths).complete(request())
    AdaptiveMaxTokens(api, lengths).complete(request(Step.RATING))
    AdaptiveMaxTokens(api, lengths).complete(request(model="other"))
    AdaptiveMaxTokens(api, lengths).complete(request(kind="another"))
    assert [asked.max_tokens for asked in api.requests[-3:]] == [4096, 4096, 4096]
    assert [lengths.mean("m", Label(Step.PLAN, kind=kind)) for kind in ("", "another")] == [400, None]


def test_cut_reply_is_requested_again_with_the_whole_limit() -> None:
    """Two calls, one whole answer, and its length is learned."""
    lengths = ReplyLengths()
    for _ in range(KNOWN):
        lengths.record("m", PLAN, 100)
    api = replies(400)
    assert AdaptiveMaxTokens(api, lengths).complete(request()).text == "w" * 400
    assert [asked.max_tokens for asked in api.requests] == [125, 4096]
    assert lengths.max_tokens_for("m", PLAN) == 500


def test_streamed_reply_has_the_whole_limit() -> None:
    """A streamed reply cannot be requested again, so it must not be cut."""
    lengths = ReplyLengths()
    for _ in range(KNOWN):
        lengths.record("m", Label(Step.FINAL), 100)
    api = replies(400)
    heard = replace(request(Step.FINAL), listener=list[Any]().append)
    AdaptiveMaxTokens(api, lengths).complete(heard)
    assert [asked.max_tokens for asked in api.requests] == [4096]


def test_old_lengths_are_forgotten() -> None:
    """When replies become shorter, so do the limits."""
    lengths = ReplyLengths()
    for length in [4000] * WINDOW + [100] * WINDOW:
        lengths.record("m", PLAN, length)
    assert lengths.max_tokens_for("m", PLAN) == 125


@given(
    st.dictionaries(st.tuples(st.sampled_from(Step), st.sampled_from("ab")), st.integers(1, 4096), min_size=1),
    st.data(),
)
def test_mixed_kinds_cost_no_additional_call(replied: dict[tuple[Step, str], int], data: st.DataObject) -> None:
    """If all replies of a kind have one length, each call is made once, whatever other kinds are between."""
    lengths, kinds = ReplyLengths(), data.draw(st.lists(st.sampled_from(sorted(replied)), max_size=80))
    made = 0
    for step, kind in kinds:
        api = replies(replied[step, kind])
        AdaptiveMaxTokens(api, lengths).complete(request(step, kind=kind))
        made += len(api.requests)
    assert made == len(kinds)


def test_number_of_kinds_is_bounded() -> None:
    """Clients create them; the one with the oldest reply is forgotten first."""
    lengths = ReplyLengths()
    for number in range(KINDS + 1):
        for _ in range(KNOWN):
            lengths.record("m", Label(Step.FINAL, kind=str(number)), 100)
            lengths.record("m", PLAN, 100)
    known = [lengths.max_tokens_for("m", Label(Step.FINAL, kind=str(number))) for number in range(KINDS + 1)]
    assert known == [None, None, *[125] * (KINDS - 1)]
    assert lengths.max_tokens_for("m", PLAN) == 125


@given(st.lists(st.integers(1, 6000), max_size=60))
def test_no_reply_is_shortened(seen: list[int]) -> None:
    """Whatever was learned before, a reply of up to 4096 tokens is whole and a longer one is cut there."""
    lengths = ReplyLengths()
    for length in seen:
        lengths.record("m", PLAN, length)
    for length in (1, 400, 4096, 5000):
        completion = AdaptiveMaxTokens(replies(length), lengths).complete(request())
        assert len(completion.text) == min(length, 4096)
        assert completion.finish_reason == ("length" if length > 4096 else "stop")


@given(st.lists(st.integers(1, 4096), min_size=KNOWN, max_size=100))
def test_limit_fits_95_percent_of_the_replies(seen: list[int]) -> None:
    """At least 95 of 100."""
    lengths = ReplyLengths()
    for length in seen:
        lengths.record("m", PLAN, length)
    enough = lengths.max_tokens_for("m", PLAN)
    assert enough is not None
    assert sum(length <= enough for length in seen) >= 0.95 * len(seen)
