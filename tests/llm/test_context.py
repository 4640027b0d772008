"""Fitting calls into a model's context: pure rules, and the layer before and after a refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Answer, Scripted, completion, in_turn

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, RawMessage, Step, Usage
from optillm_cerebras_cepo.errors import CallTooLarge, PromptTooLong
from optillm_cerebras_cepo.llm.context import KEPT, LEAST, MARK, REPLY, Context, Contexts, Fitted, fit_in, shorten
from optillm_cerebras_cepo.llm.estimate import KNOWN, Estimates, size
from optillm_cerebras_cepo.llm.models import lookup

MODEL = "llama3.1-8b"
HEAD, TAIL = "Responses to review:\n", "\nHere is the question: what is 6 times 7?"
LOWERED = "max_completion_tokens lowered to fit the model's context"
TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("六é😀 a"), max_size=3000)


def review(*solutions: str, max_tokens: int = 4096, step: Step = Step.REVIEW) -> ChatRequest:
    """A request whose last message holds these solutions between texts of its own."""
    messages = (Message("user", "earlier"), Message("user", HEAD + "\n\n".join(solutions) + TAIL))
    return ChatRequest(MODEL, messages, max_tokens, Label(step), shortenable=solutions)


def layer(answer: Answer, contexts: Contexts | None = None) -> tuple[Context, Scripted]:
    """The layer over a script."""
    api = Scripted(answer)
    return Context(api, contexts or Contexts(), Estimates()), api


@given(st.lists(TEXT, max_size=5), st.integers(1, 20_000))
def test_texts_are_shortened_by_what_is_wanted_and_keep_their_ends(texts: list[str], excess: int) -> None:
    """Enough is taken, the longest are cut to one size, shorter ones stay, and what stays is an end."""
    ends = shorten(texts, excess)
    if ends is None:
        return
    assert sum(map(size, ends)) <= sum(map(size, texts)) - excess
    cut = [(text, end) for text, end in zip(texts, ends, strict=True) if text != end]
    assert cut
    for text, end in cut:
        assert end.startswith(MARK)
        assert text.endswith(end.removeprefix(MARK))
        assert KEPT - 4 <= size(end) < size(text)
    left = [size(text) for text, end in zip(texts, ends, strict=True) if text == end]
    assert max(left, default=0) <= min(size(text) for text, _ in cut)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=5), st.integers(1, 3000))
def test_texts_are_not_shortened_to_nothing(lengths: list[int], excess: int) -> None:
    """None only where a text would be left with too little for an answer."""
    texts = ["x" * length for length in lengths]
    if shorten(texts, excess) is None:
        assert sum(min(length, KEPT) for length in lengths) > sum(lengths) - excess - len(lengths)


def test_half_characters_are_shortened_too() -> None:
    """JSON can hold them."""
    ends = shorten(["\ud800" * 1000], 1000)
    assert ends is not None
    assert ends[0].removeprefix(MARK).strip("\ud800") == ""


def test_a_call_that_fits_stays_as_it_is() -> None:
    """So does one to a model of which nobody knows the context."""
    asked = review("x" * 1000)
    assert fit_in(asked, 300, 8192) == fit_in(asked, 10**6, None) == Fitted(asked)


def test_the_limit_of_the_reply_is_lowered_first() -> None:
    """As long as a reply of some length is left; further where there is nothing to shorten."""
    asked = review("x" * 20_000)
    bare = replace(asked, shortenable=())
    for request, tokens in ((asked, 5000), (bare, 7000)):
        fitted = fit_in(request, tokens, 8192)
        assert fitted.changes == (LOWERED,)
        assert fitted.request == replace(request, max_tokens=fitted.request.max_tokens)
        assert LEAST <= fitted.request.max_tokens <= 8192 - tokens
    assert fit_in(asked, 7000, 8192).request.max_tokens == REPLY * 8192


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=4), st.integers(100, 8192), st.floats(3, 5))
def test_what_is_fitted_fits(lengths: list[int], max_tokens: int, density: float) -> None:
    """The texts around the solutions untouched, the solutions' ends kept, and room for a reply."""
    asked = review(*("ab " * (length // 3) + "The answer is 42." for length in lengths), max_tokens=max_tokens)

    def tokens(request: ChatRequest) -> int:
        return 20 + int(sum(size(message.wire()["content"]) for message in request.messages) / density)

    fitted = fit_in(asked, tokens(asked), 8192)
    if tokens(asked) + max_tokens <= 8192 * 0.98:
        assert fitted.request == asked
    assert tokens(fitted.request) + fitted.request.max_tokens <= 8192
    assert fitted.request.max_tokens >= min(8192 * REPLY, max_tokens)
    (first, last) = fitted.request.messages
    assert first == asked.messages[0]
    assert isinstance(last, Message)
    assert last.content.startswith(HEAD)
    assert last.content.endswith(TAIL)
    assert last.content.count("The answer is 42.") == len(lengths)


def test_what_was_shortened_is_said_with_its_number() -> None:
    """Solutions of a review, answers of a rating; the short one is left alone."""
    long, longer, short = "a" * 15_000, "b" * 20_000, "the short one"
    fitted = fit_in(review(long, longer, short), 10_000, 8192)
    assert fitted.changes == (LOWERED, "2 solutions shortened to fit the model's context")
    assert "the short one" in str(fitted.request.messages[-1].wire())
    rating = review(longer, max_tokens=LEAST, step=Step.RATING)
    assert fit_in(rating, 10_000, 8192).changes == ("1 answer shortened to fit the model's context",)


def test_what_cannot_be_shortened_goes_out_as_it_is() -> None:
    """The question alone is too long, the texts are not in the prompt, or the client's own messages are."""
    question = replace(review(), messages=(Message("user", "x" * 50_000),))
    for asked in (
        question,
        replace(question, shortenable=("y" * 40_000, "")),
        review("x" * 500, "y" * 500),
        replace(review("x" * 50_000), messages=(RawMessage({"role": "user", "content": "x" * 50_000}),)),
    ):
        assert fit_in(asked, 14_000, 8192) == Fitted(asked)


def test_equal_solutions_are_each_shortened() -> None:
    """And one that stands within another is not cut there."""
    same = "x" * 20_000
    fitted = fit_in(review(same, same), 10_000, 8192)
    assert str(fitted.request.messages[-1].wire()).count("shortened") == 2
    inner = "y" * 10_000
    content = str(fit_in(review("z" * 10_000 + inner, inner), 10_000, 5000).request.messages[-1].wire())
    assert content.count("shortened") == 2
    assert "z" not in content


def test_a_long_call_is_fitted_before_it_goes_out() -> None:
    """By the table of models and an estimate."""
    client, api = layer(lambda _: "ok")
    reply = client.complete(review(*(letter * 50_000 for letter in "abc")))
    assert reply.fitted == ("3 solutions shortened to fit the model's context",)
    (sent,) = api.requests
    assert Estimates().of(sent) + sent.max_tokens <= (lookup(MODEL).context or 0)


def test_a_refused_call_is_fitted_by_the_apis_figures() -> None:
    """Once; and later calls are fitted to the limit that it told before they go out."""
    contexts, asked = Contexts(), review("x" * 20_000)
    client, api = layer(in_turn(PromptTooLong("no", prompt_tokens=5000, limit=8192), completion("ok"), "ok"), contexts)
    assert client.complete(asked).fitted == (LOWERED,)
    assert api.requests[0] == asked
    assert api.requests[1].max_tokens == pytest.approx(8192 - 5000, abs=200)
    assert contexts.of(MODEL) == 8192
    client.complete(asked)
    assert api.requests[2].max_tokens < 4096


def test_the_figures_mend_the_estimate() -> None:
    """A prompt that has twice the tokens that were expected is shortened by as much more."""
    asked = review("x" * 20_000)
    client, api = layer(in_turn(PromptTooLong("no", prompt_tokens=12_000, limit=8192), completion("ok")))
    client.complete(asked)
    sent = size(api.requests[1].messages[-1].wire()["content"])
    assert sent * 12_000 / 20_000 + 8192 * REPLY <= 8192


def test_a_refusal_without_figures_makes_the_call_a_good_deal_shorter() -> None:
    """413 says no more than that it is too much; no limit is learnt from it."""
    contexts = Contexts()
    client, api = layer(in_turn(CallTooLarge("no"), completion("ok")), contexts)
    assert client.complete(review("x" * 80_000)).fitted[-1] == "1 solution shortened to fit the model's context"
    first, second = (size(request.messages[-1].wire()["content"]) for request in api.requests)
    assert second < 0.6 * first
    assert contexts.of(MODEL) == lookup(MODEL).context


def test_a_second_refusal_is_final() -> None:
    """And a first, where nothing can be done."""
    refusal = PromptTooLong("no", prompt_tokens=7000, limit=8192)
    client, api = layer(lambda _: refusal)
    with pytest.raises(PromptTooLong):
        client.complete(review("x" * 20_000))
    assert len(api.requests) == 2
    hopeless, once = layer(lambda _: PromptTooLong("no", prompt_tokens=70_000, limit=8192))
    with pytest.raises(PromptTooLong):
        hopeless.complete(replace(review(), messages=(Message("user", "x" * 20_000),)))
    assert len(once.requests) == 1


def test_replies_teach_the_estimate() -> None:
    """Their prompt's tokens, where they say them."""
    estimates, asked = Estimates(), review("x" * 7000)
    tokens = iter([1500, None] * KNOWN)
    api = Scripted(lambda _: Completion(MODEL, "ok", "stop", Usage(next(tokens), 5)))
    for _ in range(2 * KNOWN):
        Context(api, Contexts(), estimates).complete(asked)
    assert estimates.of(asked) == pytest.approx(1500, abs=2)


def test_what_was_fitted_below_stays_said() -> None:
    """Layers add to each other's notes."""
    below = replace(completion("ok"), fitted=("seed dropped",))
    client, _ = layer(in_turn(below))
    assert client.complete(review("x" * 100)).fitted == ("seed dropped",)
