"""Choose among the available completions: compare them in parallel, and handle one or none."""

from __future__ import annotations

from checkout import Checkout

PLAN, PAIRS, CEPO = "generate_completion.generate_single_plan", "rate_completions_pairwise", "cepo"

READER = '''

def parse_preference(text: Optional[str]) -> Optional[int]:
    """
    Return which of two responses a judge's reply calls better, 0 or 1, or None when it names neither.

    Reads `Better Response: [[1]]` as well as `**better response** is 1` and the like; the last one counts.
    """
    found = re.findall(r"better response(?:\\W|is\\b|response\\b)*?([01])\\b", text or "", re.IGNORECASE)
    return int(found[-1]) if found else None


'''

ASK = """rating_response, _, completion_tokens_ = llm_call_reason_effort_fallback(
    client=client,
    provider_request=provider_request,
    reasoning_effort_levels=["high", "medium"],
    cepo_config=cepo_config
)
"""

SIDE_BY_SIDE = """\
        return rating_response, completion_tokens_

    # Make all comparisons at the same time
    with ThreadPoolExecutor(max_workers=max(1, len(pairs))) as executor:
        rating_responses = list(executor.map(rate_pair, pairs))

    for pair, (rating_response, completion_tokens_) in zip(pairs, rating_responses):
        completion_tokens += completion_tokens_
"""

COUNT = """
preferred = parse_preference(rating_response)
if preferred is not None:  # a comparison that was lost counts for neither
    ratings[pair[preferred]] += 1
"""

LEFT = """if not completions:
    raise RuntimeError("CePO: no completion to choose from, all of them failed or were cut at their token limit")
if len(completions) == 1:
    return completions[0], completion_tokens_planning  # there is nothing to rate
"""


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    # The response of a call that failed or was cut is None, and its finish reason not always "length".
    source.sub(PLAN, "if (?=finish_reason ==)", "if not response or ", times=2)
    source.sub(PAIRS, r"cepo_config\.bestofn_n", "len(completions)", times=3)
    source.replace(PAIRS, r"rating_response = client\.", ASK)
    source.remove(PAIRS, r"rating_response = rating_response\.choices")
    source.remove(PAIRS, "pattern = ")
    source.remove(PAIRS, "match = ")
    source.replace(PAIRS, "if match:", COUNT)
    # A loop that asks and counts becomes a function that asks and a loop that counts.
    source.sub(PAIRS, "^    for pair in pairs:", "    def rate_pair(pair):")
    source.sub(PAIRS, r"^        completion_tokens \+= rating_response\..*\n", SIDE_BY_SIDE)
    source.add_before(PAIRS, READER)
    source.add_after(CEPO, r"completions = \[", LEFT)
