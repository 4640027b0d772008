"""Token counts of a reply: only those that can be true are used."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.chat import Usage
from optillm_cerebras_cepo.llm.completions import usage_of

ANY: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()) | st.just({})
)


@given(ANY, ANY, ANY)
def test_a_count_is_a_number_of_tokens_or_unknown(prompt: object, reply: object, reasoning: object) -> None:
    """A negative one would give a budget more tokens than it had, and ask for replies of less than none."""
    usage = usage_of(
        {
            "prompt_tokens": prompt,
            "completion_tokens": reply,
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        }
    )
    for count in (usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens):
        assert count is None or (type(count) is int and count >= 0)


def test_counts_of_a_reply() -> None:
    """What is missing is not zero, except reasoning."""
    assert usage_of({"prompt_tokens": 7, "completion_tokens": 0}) == Usage(7, 0, 0)
    assert usage_of({"prompt_tokens": True, "completion_tokens": -5}) == Usage(None, None, 0)
