"""Context windows: the rules, and the layer before and after a refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Answer, Scripted, completion, in_turn

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, RawMessage, Step, Usage
from optillm_cerebras_cepo.core.errors import CallTooLarge, PromptTooLong
from optillm_cerebras_cepo.llm.context_window import (
    KNOWN,
    MARK,
    MIN_REPLY,
    MIN_TEXT,
    REPLY_SHARE,
    ContextFitter,
    ContextWindows,
    Fitted,
    TokenEstimates,
    fit,
    shorten,
    size,
)
from optillm_cerebras_cepo.llm.models import lookup

MODEL = "llama3.1-8b"
HEAD, TAIL = "Responses to review:\n", "\nHere is the question: what is 6 times 7?"
LOWERED = "max_completion_tokens lowered to fit the model's context"
TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("六é😀 a"), max_size=3000)


def review(*solutions: str, max_tokens: int = 4096, step: Step = Step.REVIEW) -> ChatRequest:
    """A request whose last message holds these solutions between texts of its own."""
    messages = (Message("user", "earlier"), Message("user", HEAD + "\n\n".join(solutions) + TAIL))
    return ChatRequest(MODEL, messages, max_tokens, Label(step), shortenable=solutions)


def layer(answer: Answer, contexts: ContextWindows | None = None) -> tuple[ContextFitter, Scripted]:
    """The layer over a script."""
    api = Scripted(answer)
    return ContextFitter(api, contexts or ContextWindows(), TokenEstimates()), api


@given(st.lists(TEXT, max_size=5), st.integers(1, 20_000))
def test_longest_texts_are_shortened_to_one_size_and_keep_their_ends(texts: list[str], excess: int) -> None:
    """Enough is removed, and shorter texts stay as they are."""
    ends = shorten(texts, excess)
    if ends is None:
        return
    assert sum(map(size, ends)) <= sum(map(size, texts)) - excess
    cut = [(text, end) for text, end in zip(texts, ends, strict=True) if text != end]
    assert cut
    for text, end in cut:
        assert end.startswith(MARK)
        assert text.endswith(end.removeprefix(MARK))
        assert MIN_TEXT - 4 <= size(end) < size(text)
    left = [size(text) for text, end in zip(texts, ends, strict=True) if text == end]
    assert max(left, default=0) <= min(size(text) for text, _ in cut)


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=5), st.integers(1, 3000))
def test_texts_keep_a_minimum(lengths: list[int], excess: int) -> None:
    """None only if a text would be too short for an answer."""
    texts = ["x" * length for length in lengths]
    if shorten(texts, excess) is None:
        assert sum(min(length, MIN_TEXT) for length in lengths) > sum(lengths) - excess - len(lengths)


def test_texts_with_surrogate_halves_can_be_shortened() -> None:
    """JSON can contain them."""
    ends = shorten(["\ud800" * 1000], 1000)
    assert ends is not None
    assert ends[0].removeprefix(MARK).strip("\ud800") == ""


def test_call_that_fits_is_unchanged() -> None:
    """So is a call to a model with an unknown context."""
    asked = review("x" * 1000)
    assert fit(asked, 300, 8192) == fit(asked, 10**6, None) == Fitted(asked)


def test_reply_limit_is_lowered_first() -> None:
    """Down to a quarter of the context; further if there is nothing to shorten."""
    asked = review("x" * 20_000)
    bare = replace(asked, shortenable=())
    for request, tokens in ((asked, 5000), (bare, 7000)):
        fitted = fit(request, tokens, 8192)
        assert fitted.changes == (LOWERED,)
        assert fitted.request == replace(request, max_tokens=fitted.request.max_tokens)
        assert MIN_REPLY <= fitted.request.max_tokens <= 8192 - tokens
    assert fit(asked, 7000, 8192).request.max_tokens == REPLY_SHARE * 8192


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=4), st.integers(100, 8192), st.floats(3, 5))
def test_fitted_call_fits(lengths: list[int], max_tokens: int, density: float) -> None:
    """The other texts are unchanged, the ends of the solutions are kept, and the reply has room."""
    asked = review(*("ab " * (length // 3) + "The answer is 42." for length in lengths), max_tokens=max_tokens)

    def tokens(request: ChatRequest) -> int:
        return 20 + int(sum(size(message.wire()["content"]) for message in request.messages) / density)

    fitted = fit(asked, tokens(asked), 8192)
    if tokens(asked) + max_tokens <= 8192 * 0.98:
        assert fitted.request == asked
    assert tokens(fitted.request) + fitted.request.max_tokens <= 8192
    assert fitted.request.max_tokens >= min(8192 * REPLY_SHARE, max_tokens)
    (first, last) = fitted.request.messages
    assert first == asked.messages[0]
    assert isinstance(last, Message)
    assert last.content.startswith(HEAD)
    assert last.content.endswith(TAIL)
    assert last.content.count("The answer is 42.") == len(lengths)


def test_changes_state_how_many_texts_were_shortened() -> None:
    """Solutions of a review, answers of a rating; short ones are not counted."""
    long, longer, short = "a" * 15_000, "b" * 20_000, "the short one"
    fitted = fit(review(long, longer, short), 10_000, 8192)
    assert fitted.changes == (LOWERED, "2 solutions shortened to fit the model's context")
    assert "the short one" in str(fitted.request.messages[-1].wire())
    rating = review(longer, max_tokens=MIN_REPLY, step=Step.RATING)
    assert fit(rating, 10_000, 8192).changes == ("1 answer shortened to fit the model's context",)


def test_call_that_cannot_be_shortened_is_unchanged() -> None:
    """The question alone is too long, the texts are not in the prompt, or the messages are the client's."""
    question = replace(review(), messages=(Message("user", "x" * 50_000),))
    for asked in (
        question,
        replace(question, shortenable=("y" * 40_000, "")),
        review("x" * 500, "y" * 500),
        replace(review("x" * 50_000), messages=(RawMessage({"role": "user", "content": "x" * 50_000}),)),
    ):
        assert fit(asked, 14_000, 8192) == Fitted(asked)


def test_equal_solutions_are_each_shortened() -> None:
    """A text within another one is not cut there."""
    same = "x" * 20_000
    fitted = fit(review(same, same), 10_000, 8192)
    assert str(fitted.request.messages[-1].wire()).count("shortened") == 2
    inner = "y" * 10_000
    content = str(fit(review("z" * 10_000 + inner, inner), 10_000, 5000).request.messages[-1].wire())
    assert content.count("shortened") == 2
    assert "z" not in content


def test_long_call_is_fitted_before_it_goes_out() -> None:
    """By the table of models and an estimate."""
    client, api = layer(lambda _: "ok")
    reply = client.complete(review(*(letter * 50_000 for letter in "abc")))
    assert reply.fitted == ("3 solutions shortened to fit the model's context",)
    (sent,) = api.requests
    assert TokenEstimates().prompt_tokens(sent) + sent.max_tokens <= (lookup(MODEL).context or 0)


def test_refused_call_is_fitted_with_the_apis_numbers() -> None:
    """Once; later calls are fitted to the limit in the refusal before they go out."""
    contexts, asked = ContextWindows(), review("x" * 20_000)
    client, api = layer(in_turn(PromptTooLong("no", prompt_tokens=5000, limit=8192), completion("ok"), "ok"), contexts)
    assert client.complete(asked).fitted == (LOWERED,)
    assert api.requests[0] == asked
    assert api.requests[1].max_tokens == pytest.approx(8192 - 5000, abs=200)
    assert contexts.for_model(MODEL) == 8192
    client.complete(asked)
    assert api.requests[2].max_tokens < 4096


def test_numbers_correct_the_estimate() -> None:
    """A prompt with twice the estimated tokens is shortened by as much more."""
    asked = review("x" * 20_000)
    client, api = layer(in_turn(PromptTooLong("no", prompt_tokens=12_000, limit=8192), completion("ok")))
    client.complete(asked)
    sent = size(api.requests[1].messages[-1].wire()["content"])
    assert sent * 12_000 / 20_000 + 8192 * REPLY_SHARE <= 8192


def test_refusal_without_numbers_halves_the_call() -> None:
    """A 413 says only that it is too much; no limit is learned from it."""
    contexts = ContextWindows()
    client, api = layer(in_turn(CallTooLarge("no"), completion("ok")), contexts)
    assert client.complete(review("x" * 80_000)).fitted[-1] == "1 solution shortened to fit the model's context"
    first, second = (size(request.messages[-1].wire()["content"]) for request in api.requests)
    assert second < 0.6 * first
    assert contexts.for_model(MODEL) == lookup(MODEL).context


def test_second_refusal_is_final() -> None:
    """A first one is if nothing can be changed."""
    refusal = PromptTooLong("no", prompt_tokens=7000, limit=8192)
    client, api = layer(lambda _: refusal)
    with pytest.raises(PromptTooLong):
        client.complete(review("x" * 20_000))
    assert len(api.requests) == 2
    hopeless, once = layer(lambda _: PromptTooLong("no", prompt_tokens=70_000, limit=8192))
    with pytest.raises(PromptTooLong):
        hopeless.complete(replace(review(), messages=(Message("user", "x" * 20_000),)))
    assert len(once.requests) == 1


def test_estimate_learns_from_replies() -> None:
    """From the tokens of their prompts."""
    estimates, asked = TokenEstimates(), review("x" * 7000)
    tokens = iter([1500, None] * KNOWN)
    api = Scripted(lambda _: Completion(MODEL, "ok", "stop", Usage(next(tokens), 5)))
    for _ in range(2 * KNOWN):
        ContextFitter(api, ContextWindows(), estimates).complete(asked)
    assert estimates.prompt_tokens(asked) == pytest.approx(1500, abs=2)


def test_changes_of_lower_layers_are_kept() -> None:
    """Layers add to each other's lists."""
    below = replace(completion("ok"), fitted=("seed dropped",))
    client, _ = layer(in_turn(below))
    assert client.complete(review("x" * 100)).fitted == ("seed dropped",)
