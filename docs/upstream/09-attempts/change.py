"""Make as many attempts as plans are needed, and another one only if one was rejected."""

from __future__ import annotations

from checkout import Checkout

CANDIDATE = "generate_completion"

START = r"""\1# Start as many attempts as there are plans wanted
\1started = min(cepo_config.planning_n, cepo_config.planning_m)
\1\2started\3"""

LOOP = r"""\1while futures:
\1    future = next(as_completed(futures))
\1    futures.remove(future)
"""

FURTHER = r"""\1elif started < cepo_config.planning_m:
\1    # Make a further attempt in place of the rejected one
\1    futures.append(executor.submit(generate_single_plan, started))
\1    started += 1
"""


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    source.sub(CANDIDATE, r"^( +)(futures = \[.*range\()cepo_config\.planning_m(.*)$", START)
    # Attempts that were started and not needed were left out of the token count.
    source.sub(CANDIDATE, r"^( +)for future in as_completed\(futures\):\n", LOOP)
    source.expect(CANDIDATE, r"^( +)if plan:\n(\1 .*\n)+\1if len")
    source.sub(CANDIDATE, r"^( +)if len\(plans\) == .*:\n +break\n", FURTHER)
