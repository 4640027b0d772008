"""A request's calls and tokens: never more than there are, and what an answer needs is kept for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.budget import USEFUL, Budget
from optillm_cerebras_cepo.deadline import Deadline, unlimited
from optillm_cerebras_cepo.errors import Ended, Ends, OutOfBudget

FREE = unlimited()


def test_a_call_beyond_the_budget_is_not_made() -> None:
    """One that failed was made too; the message says what to raise."""
    budget = Budget(calls=2)
    with budget.call(1, 1, FREE):
        pass
    with pytest.raises(ValueError, match="busy"), budget.call(1, 1, FREE):
        raise ValueError("busy")
    with (
        pytest.raises(OutOfBudget, match="2 calls are used up; raise max_calls") as caught,
        budget.call(1, 1, FREE),
    ):
        pytest.fail("a third call was made")
    assert (caught.value.status, caught.value.code, caught.value.ends) == (422, "out_of_budget", Ends.CALL)


def test_tokens_that_were_not_taken_are_given_back() -> None:
    """All of them by a call that failed, and none of one that does not say."""
    budget = Budget(tokens=1000)
    with budget.call(100, 500, FREE) as share:
        assert budget.left[1] == 400
        share.spent = 150
    assert budget.left[1] == 850
    with pytest.raises(ValueError, match="busy"), budget.call(100, 500, FREE):
        raise ValueError("busy")
    assert budget.left[1] == 850
    with budget.call(100, 500, FREE):
        pass
    assert budget.left[1] == 250


def test_a_call_is_made_with_less_where_that_is_of_use() -> None:
    """At least USEFUL tokens, or all that it asks for."""
    with Budget(tokens=1000).call(100, 4096, FREE) as share:
        assert share.max_tokens == 900
    with Budget(tokens=100 + USEFUL).call(100, 4096, FREE) as share:
        assert share.max_tokens == USEFUL
    with Budget(tokens=110).call(100, 10, FREE) as share:
        assert share.max_tokens == 10
    with pytest.raises(OutOfBudget, match="raise max_total_tokens"), Budget(tokens=99 + USEFUL).call(100, 4096, FREE):
        pytest.fail("a useless call was made")


def test_what_running_calls_may_give_back_is_waited_for() -> None:
    """The second call has its whole limit, for the first took little."""
    budget, second, waits = Budget(tokens=1000), list[int](), threading.Event()

    def call() -> None:
        waits.set()
        with budget.call(100, 600, FREE) as share:
            second.append(share.max_tokens)

    with budget.call(100, 600, FREE) as share:
        thread = threading.Thread(target=call)
        thread.start()
        waits.wait(10)
        share.spent = 150
    thread.join(10)
    assert second == [600]


def test_who_waits_for_tokens_is_woken_when_the_request_ends() -> None:
    """And told why; nothing was taken."""
    budget, deadline = Budget(tokens=1000), Deadline(60)
    with budget.call(100, 900, FREE), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(budget.call(100, 600, deadline).__enter__)
        deadline.end(Ended("over"))
        with pytest.raises(Ended, match="over"):
            waiting.result(10)
    assert budget.left[0] == float("inf")


def test_what_is_held_is_kept_for_the_answer() -> None:
    """Others are told so; the answer has it, and what is not used comes back."""
    budget = Budget(calls=2, tokens=2000)
    with budget.holding(1, 1500) as hold:
        assert (budget.left, hold.left, hold.whole) == ((1, 500), (2, 2000), budget)
        with budget.call(100, 400, FREE):
            pass
        with pytest.raises(OutOfBudget, match="kept for the answers; raise max_calls"), budget.call(1, 1, FREE):
            pytest.fail("the answer's call was made by another")
        with hold.call(100, 1400, FREE) as share:
            share.spent = 600
    assert budget.left == (0, 900)
    with (whole := Budget(calls=3)).holding(1, 0) as hold, hold.call(1, 1, FREE):
        assert whole.left[0] == 2  # it is no longer held
    with budget.holding(3, 5000):
        assert budget.left == (0, 0)
    assert budget.left == (0, 900)


@given(
    limits=st.tuples(st.integers(1, 12), st.integers(1, 6000)),
    wanted=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 4096), st.floats(0, 1)), max_size=20),
)
def test_no_mixture_of_calls_breaks_a_budget(limits: tuple[int, int], wanted: list[tuple[int, int, float]]) -> None:
    """Four at once, each taking some of what it may: never more calls or tokens than there are, and nobody waits on."""
    budget, made = Budget(*limits), list[float]()

    def call(prompt: int, most: int, part: float) -> None:
        try:
            with budget.call(prompt, most, FREE) as share:
                assert share.max_tokens <= most
                share.spent = prompt + int(share.max_tokens * part)
                made.append(share.spent)
        except OutOfBudget:
            pass

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(call, *one) for one in wanted]:
            done.result(10)
    assert len(made) <= limits[0]
    assert sum(made) <= limits[1]
    assert budget.left == (limits[0] - len(made), limits[1] - sum(made))
