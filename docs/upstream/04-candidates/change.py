"""Choose among the completions that there are: compare them side by side, and know what to do with one or none."""

from __future__ import annotations

from typing import Any

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Source, Unexpected, assignment, call, dotted, within

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

SIDE_BY_SIDE = """
def rate_pair(pair):

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
    # A call that failed or was cut comes back as None, and with another finish reason than "length".
    source.edit(
        PLAN,
        m.If(test=m.Comparison(left=m.Name("finish_reason"))),
        lambda line: line.with_changes(test=source.expression('not response or finish_reason == "length"')),
        times=2,
    )
    source.edit(PAIRS, dotted("cepo_config.bestofn_n"), lambda _: source.expression("len(completions)"), times=3)
    source.edit(
        PAIRS, assignment("rating_response", call("client.chat.completions.create")), lambda _: source.statements(ASK)
    )
    # The text of the reply, its pattern and its match; then what is made of the match.
    source.edit(PAIRS, assignment("rating_response", m.Call(m.Attribute(attr=m.Name("strip")))), lambda _: [])
    source.edit(PAIRS, assignment("pattern"), lambda _: [])
    source.edit(PAIRS, assignment("match"), lambda _: [])
    source.edit(PAIRS, m.If(test=m.Name("match")), lambda _: source.statements(COUNT))
    source.edit(PAIRS, m.For(target=m.Name("pair"), iter=m.Name("pairs")), lambda loop: _divided(source, loop))
    source.insert_before(PAIRS, READER)
    source.edit(CEPO, assignment("completions", m.ListComp()), lambda line: [line, *source.statements(LEFT)])


def _divided(source: Source, loop: cst.For) -> list[cst.BaseStatement]:
    """Make two of a loop that asks and then counts: a function that asks, and a loop that counts."""
    tokens = within(m.AugAssign(target=m.Name("completion_tokens")))
    lines: list[Any] = list(loop.body.body)
    counted = [place for place, line in enumerate(lines) if m.matches(line, m.SimpleStatementLine([tokens]))]
    if len(counted) != 1:
        raise Unexpected(f"{PAIRS} counts tokens in {len(counted)} places, not 1")
    ask, *others, count = source.statements(SIDE_BY_SIDE)

    def with_body(statement: Any, body: list[Any]) -> Any:
        return statement.with_changes(body=statement.body.with_changes(body=body))

    asking = [*lines[: counted[0]], *ask.body.body]  # type: ignore[attr-defined]
    counting = [*count.body.body, *lines[counted[0] + 1 :]]  # type: ignore[attr-defined]
    return [with_body(ask, asking), *others, with_body(count, counting)]
