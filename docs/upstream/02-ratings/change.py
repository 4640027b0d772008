"""Ask the judge once for each completion, and accept variations of its rating's notation."""

from __future__ import annotations

from checkout import Checkout

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

READ = """\
rating = parse_rating(rating_response)
ratings.append(-1 if rating is None else rating)  # no rating is worse than any
"""


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    # The reply of the first of two calls is overwritten by the second one's.
    source.remove(RATER, r"rating_response = client\.")
    # These find the number in the reply; anything else is an exception or -1.
    source.remove(RATER, "pattern = ")
    source.remove(RATER, "match = ")
    source.remove(RATER, "rating_response = match")
    source.replace(RATER, r"try:\s+ratings\.append", READ)
    source.add_before(RATER, READER)
