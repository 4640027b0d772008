"""What docs/reliability.md says of deadline, budget and hang-ups is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from optillm_cerebras_cepo.budget import USEFUL, Means
from optillm_cerebras_cepo.cepo.workload import Costs, asked_for, bill, borne
from optillm_cerebras_cepo.host.work import left
from optillm_cerebras_cepo.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
ROW = re.compile(r"^\| (\d+)(?: to (\d+)|, (\d+))? \| (\w+)(.*?) \| (\d*) ?\| (\w*) ?\| (\d+) \|$", re.MULTILINE)


def test_the_table_of_budgets_is_what_is_done() -> None:
    """Every number of calls from 1 to 27, with a default request's candidates, plans, review and calls."""
    told = set()
    costs, settings = Costs(lambda _: 1, lambda _: 1, 1), Settings()
    for low, high, next_one, candidates, rated, plans, review, calls in ROW.findall(PAGE):
        for max_calls in range(int(low), int(high or next_one or low) + 1):
            told.add(max_calls)
            work = borne(settings, asked_for(settings, 3), 1, Means(calls=max_calls), costs).work
            assert bill(settings, work, costs).calls == int(calls)
            assert (str(work.candidates) if work.plans else "none") == candidates
            assert (work.ratings and work.candidates > 1) == (rated == ", rated")
            assert (str(work.plans or ""), work.review and bool(work.plans)) == (plans, review == "yes")
    assert told == set(range(1, 28))


def test_a_call_that_is_of_use_is_as_large_as_it_says() -> None:
    """In tokens of its reply."""
    assert f"at least {USEFUL} tokens" in PAGE


def test_the_line_of_a_client_that_hung_up_is_the_servers() -> None:
    """With the same numbers."""
    line = left({"calls": 12, "prompt_tokens": 431, "completion_tokens": 1210}, 9)
    assert f"\n    cepo_cerebras: {line}\n" in PAGE
