"""Ask a judge once for each completion, and read what it says leniently."""

from __future__ import annotations

import libcst.matchers as m
from tree import Checkout, assignment, call, within

RATER = "rate_completions_absolute"

READER = '''

def parse_rating(text: Optional[str]) -> Optional[float]:
    """
    Return the last rating in a judge's reply, or None when there is none.

    Reads `Rating: [[1]]` as well as `**rating:** 0.5/1`, `Rating = 1` and the like.
    """
    found = re.findall(r"rating\\W*?(-?\\d+(?:\\.\\d+)?)", text or "", re.IGNORECASE)
    return float(found[-1]) if found else None


'''


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    # The first of two calls of the model: its reply is overwritten by the second's.
    source.edit(RATER, assignment("rating_response", call("client.chat.completions.create")), lambda _: [])
    # A pattern, its match, the text of a number, and the number: what none of them finds is a crash or -1.
    source.edit(RATER, assignment("pattern"), lambda _: [])
    source.edit(RATER, assignment("match"), lambda _: [])
    source.edit(RATER, assignment("rating_response", m.IfExp()), lambda _: [])
    source.edit(
        RATER,
        m.Try(body=within(call("ratings.append"))),
        lambda _: source.statements(
            "rating = parse_rating(rating_response)\n"
            "ratings.append(-1 if rating is None else rating)  # no rating is worse than any\n"
        ),
    )
    source.insert_before(RATER, READER)
