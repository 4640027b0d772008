"""Budget: never more calls or tokens than allowed, and a reserve for the answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.budget import MIN_USEFUL_TOKENS, Budget
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import Ended, ErrorScope, OutOfBudget

FREE = Deadline()


def test_call_beyond_the_budget_is_not_made() -> None:
    """A failed call counts as well; the message says what to raise."""
    budget = Budget(calls=2)
    with budget.call(1, 1, FREE):
        pass
    with pytest.raises(ValueError, match="busy"), budget.call(1, 1, FREE):
        raise ValueError("busy")
    with pytest.raises(OutOfBudget, match="all 2 calls are used; raise max_calls") as caught, budget.call(1, 1, FREE):
        pytest.fail("a third call was made")
    assert (caught.value.status, caught.value.code, caught.value.scope) == (422, "out_of_budget", ErrorScope.CALL)


def test_unused_tokens_return() -> None:
    """All of them after a failed call, none if the call does not state its usage."""
    budget = Budget(tokens=1000)
    with budget.call(100, 500, FREE) as allowance:
        assert budget.remaining[1] == 400
        allowance.spent = 150
    assert budget.remaining[1] == 850
    with pytest.raises(ValueError, match="busy"), budget.call(100, 500, FREE):
        raise ValueError("busy")
    assert budget.remaining[1] == 850
    with budget.call(100, 500, FREE):
        pass
    assert budget.remaining[1] == 250


def test_call_is_limited_to_useful_remaining_tokens() -> None:
    """At least MIN_USEFUL_TOKENS, or all that it asks for."""
    with Budget(tokens=1000).call(100, 4096, FREE) as allowance:
        assert allowance.max_tokens == 900
    with Budget(tokens=100 + MIN_USEFUL_TOKENS).call(100, 4096, FREE) as allowance:
        assert allowance.max_tokens == MIN_USEFUL_TOKENS
    with Budget(tokens=110).call(100, 10, FREE) as allowance:
        assert allowance.max_tokens == 10
    with (
        pytest.raises(OutOfBudget, match="raise max_total_tokens"),
        Budget(tokens=99 + MIN_USEFUL_TOKENS).call(100, 4096, FREE),
    ):
        pytest.fail("a useless call was made")


def test_call_waits_for_tokens_of_running_calls() -> None:
    """The second call has its whole limit, because the first one used little."""
    budget, second, waits = Budget(tokens=1000), list[int](), threading.Event()

    def call() -> None:
        waits.set()
        with budget.call(100, 600, FREE) as allowance:
            second.append(allowance.max_tokens)

    with budget.call(100, 600, FREE) as allowance:
        thread = threading.Thread(target=call)
        thread.start()
        waits.wait(10)
        allowance.spent = 150
    thread.join(10)
    assert second == [600]


def test_waiting_call_is_woken_when_the_request_ends() -> None:
    """With the reason; nothing is taken."""
    budget, deadline = Budget(tokens=1000), Deadline(60)
    with budget.call(100, 900, FREE), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(budget.call(100, 600, deadline).__enter__)
        deadline.end(Ended("over"))
        with pytest.raises(Ended, match="over"):
            waiting.result(10)
    assert budget.remaining[0] == float("inf")


def test_reservation_is_kept_for_the_answer() -> None:
    """Other calls fail with that reason, the answer has it, and what is not used returns."""
    budget = Budget(calls=2, tokens=2000)
    with budget.reserve(1, 1500) as reservation:
        assert (budget.remaining, reservation.remaining, reservation.whole) == ((1, 500), (2, 2000), budget)
        with budget.call(100, 400, FREE):
            pass
        with pytest.raises(OutOfBudget, match="reserved for the answers; raise max_calls"), budget.call(1, 1, FREE):
            pytest.fail("the answer's call was made by another")
        with reservation.call(100, 1400, FREE) as allowance:
            allowance.spent = 600
    assert budget.remaining == (0, 900)
    with (whole := Budget(calls=3)).reserve(1, 0) as reservation, reservation.call(1, 1, FREE):
        assert whole.remaining[0] == 2  # the reservation is released
    with budget.reserve(3, 5000):
        assert budget.remaining == (0, 0)
    assert budget.remaining == (0, 900)


@given(
    limits=st.tuples(st.integers(1, 12), st.integers(1, 6000)),
    wanted=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 4096), st.floats(0, 1)), max_size=20),
)
def test_no_mixture_of_calls_exceeds_a_budget(limits: tuple[int, int], wanted: list[tuple[int, int, float]]) -> None:
    """Four calls at once, each using part of its allowance; and no call waits for ever."""
    budget, made = Budget(*limits), list[float]()

    def call(prompt: int, most: int, part: float) -> None:
        try:
            with budget.call(prompt, most, FREE) as allowance:
                assert allowance.max_tokens <= most
                allowance.spent = prompt + int(allowance.max_tokens * part)
                made.append(allowance.spent)
        except OutOfBudget:
            pass

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(call, *one) for one in wanted]:
            done.result(10)
    assert len(made) <= limits[0]
    assert sum(made) <= limits[1]
    assert budget.remaining == (limits[0] - len(made), limits[1] - sum(made))
