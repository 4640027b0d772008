"""Token limits that fit: learnt from replies, never at the cost of one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Scripted

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.llm.reserve import KINDS, KNOWN, WINDOW, ReplyLengths, Reserve

PLAN = Label(Step.PLAN)


def request(step: Step = Step.PLAN, model: str = "m", kind: str = "") -> ChatRequest:
    """A call with a limit of 4096."""
    return ChatRequest(model, (Message("user", "q"),), 4096, Label(step, kind=kind))


def replies(length: int) -> Any:
    """A model whose replies have this length, cut at the limit that is asked for."""

    def answer(asked: ChatRequest) -> Completion:
        most = min(length, asked.max_tokens)
        return Completion("m", "w" * most, "stop" if most == length else "length", Usage(1, most))

    return Scripted(answer)


def test_the_whole_limit_is_asked_for_until_lengths_are_known() -> None:
    """Then a quarter more than nearly all replies took."""
    api, lengths = replies(400), ReplyLengths()
    for _ in range(KNOWN + 1):
        Reserve(api, lengths).complete(request())
    assert [asked.max_tokens for asked in api.requests] == [4096] * KNOWN + [500]


def test_steps_models_and_kinds_are_learnt_apart() -> None:
    """A rating is shorter than a plan, and a comparison of two answers is longer than a rating."""
    api, lengths = replies(400), ReplyLengths()
    for _ in range(KNOWN):
        Reserve(api, lengths).complete(request())
    Reserve(api, lengths).complete(request(Step.RATING))
    Reserve(api, lengths).complete(request(model="other"))
    Reserve(api, lengths).complete(request(kind="another"))
    assert [asked.max_tokens for asked in api.requests[-3:]] == [4096, 4096, 4096]
    assert [lengths.usual("m", Label(Step.PLAN, kind=kind)) for kind in ("", "another")] == [400, None]


def test_a_reply_that_was_cut_is_asked_for_with_the_whole_limit() -> None:
    """Two calls, one whole answer, and the length is learnt."""
    lengths = ReplyLengths()
    for _ in range(KNOWN):
        lengths.add("m", PLAN, 100)
    api = replies(400)
    assert Reserve(api, lengths).complete(request()).text == "w" * 400
    assert [asked.max_tokens for asked in api.requests] == [125, 4096]
    assert lengths.enough("m", PLAN) == 500


def test_what_somebody_listens_to_is_asked_for_whole() -> None:
    """What a listener has heard cannot be asked for again, so it must not be cut."""
    lengths = ReplyLengths()
    for _ in range(KNOWN):
        lengths.add("m", Label(Step.FINAL), 100)
    api = replies(400)
    heard = replace(request(Step.FINAL), listener=list[Any]().append)
    Reserve(api, lengths).complete(heard)
    assert [asked.max_tokens for asked in api.requests] == [4096]


def test_old_lengths_are_forgotten() -> None:
    """When replies become shorter, so do the limits that are asked for."""
    lengths = ReplyLengths()
    for length in [4000] * WINDOW + [100] * WINDOW:
        lengths.add("m", PLAN, length)
    assert lengths.enough("m", PLAN) == 125


@given(
    st.dictionaries(st.tuples(st.sampled_from(Step), st.sampled_from("ab")), st.integers(1, 4096), min_size=1),
    st.data(),
)
def test_mixing_kinds_costs_no_call_more_than_each_alone(
    replied: dict[tuple[Step, str], int], data: st.DataObject
) -> None:
    """Where the replies of a kind are all as long, each call is made once, whatever was asked in between."""
    lengths, kinds = ReplyLengths(), data.draw(st.lists(st.sampled_from(sorted(replied)), max_size=80))
    made = 0
    for step, kind in kinds:
        api = replies(replied[step, kind])
        Reserve(api, lengths).complete(request(step, kind=kind))
        made += len(api.requests)
    assert made == len(kinds)


def test_kinds_do_not_grow_without_end() -> None:
    """Clients make them; the one that was not asked for the longest time is forgotten first."""
    lengths = ReplyLengths()
    for number in range(KINDS + 1):
        for _ in range(KNOWN):
            lengths.add("m", Label(Step.FINAL, kind=str(number)), 100)
            lengths.add("m", PLAN, 100)
    known = [lengths.enough("m", Label(Step.FINAL, kind=str(number))) for number in range(KINDS + 1)]
    assert known == [None, None, *[125] * (KINDS - 1)]
    assert lengths.enough("m", PLAN) == 125


@given(st.lists(st.integers(1, 6000), max_size=60))
def test_no_reply_is_ever_shorter_for_it(seen: list[int]) -> None:
    """Whatever was seen before: what 4096 tokens hold arrives whole, what they do not is cut there."""
    lengths = ReplyLengths()
    for length in seen:
        lengths.add("m", PLAN, length)
    for length in (1, 400, 4096, 5000):
        completion = Reserve(replies(length), lengths).complete(request())
        assert len(completion.text) == min(length, 4096)
        assert completion.finish_reason == ("length" if length > 4096 else "stop")


@given(st.lists(st.integers(1, 4096), min_size=KNOWN, max_size=100))
def test_nearly_all_of_what_was_seen_would_fit(seen: list[int]) -> None:
    """At least 95 in 100."""
    lengths = ReplyLengths()
    for length in seen:
        lengths.add("m", PLAN, length)
    enough = lengths.enough("m", PLAN)
    assert enough is not None
    assert sum(length <= enough for length in seen) >= 0.95 * len(seen)
