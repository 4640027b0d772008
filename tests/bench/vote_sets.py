"""Whole votes: how often they find a right answer, whether unlike texts ever agree, and how long a vote waits."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

from openai import OpenAI
from support.answer_notations import KINDS
from support.answer_sets import answer_sets

from bench.vote_pairs import REAL_REPLIES, Pair
from optillm_cerebras_cepo.demo.local_model import serving
from optillm_cerebras_cepo.voting.algebra_process import AT_ONCE, Equivalence
from optillm_cerebras_cepo.voting.vote import vote

SLOW = r"\int_0^1 \frac{x^{99}\sin(x^{97})}{\ln(x+2)} dx"  # takes all of a comparison's time
TIMES = 9  # each time is the median of so many
# Questions without one right answer, about which a person would not expect two texts to say the same.
OPEN = (
    "Write an e-mail to a colleague who leaves the company.", "Write a short poem about the sea.",
    "Give three tips for sleeping well.", "Tell a short story about a lost dog.", "Describe your ideal weekend.",
    "Write a product description of a water bottle.", "How should I prepare for a job interview?",
    "Write a haiku about autumn.", "List five ideas for a birthday party.", "Explain why exercise is healthy.",
    "Write a letter to a landlord about a broken heater.", "What makes a good teacher?",
    "Write a dialogue between two cats.", "Suggest names for a bakery.", "Write an opening line of a novel.",
    "What are the advantages of remote work?", "Write a review of a restaurant.", "Describe a forest at night.",
    "Write a toast for a wedding.", "How can a city become greener?",
)  # fmt: skip
REPLIES = 6  # of the local model to each of them
TOKENS = 120  # at most, of each reply


def own_sets() -> tuple[int, int]:
    """Return how often a vote finds a right answer among five, three of them right in varied notation."""
    sets = [it for kind in KINDS for it in answer_sets(kind, 110, seed=7)]
    return sum(vote(it.question, it.answers).majority[0] in it.right for it in sets), len(sets)


def real_majorities(pairs: Sequence[Pair]) -> tuple[int, int, int]:
    """Return how often the majority of a question's real replies is right, by our vote and ideally, and of how many.

    The labels of these sources come from the gold answer: two replies that are the same are right, and one that differs
    from a right one is wrong. Ideally, all right replies are one group, and the others are grouped as by our vote.
    Questions with less than three replies that are known to be right or wrong do not count.
    """
    real = [pair for pair in pairs if pair.group == REAL_REPLIES]
    known: dict[str, dict[str, bool]] = {pair.question: {} for pair in real}
    for pair in real:
        if pair.same:
            known[pair.question] |= {pair.a: True, pair.b: True}
    for pair in real:
        replies = known[pair.question]
        if not pair.same and (replies.get(pair.a) or replies.get(pair.b)):
            replies.setdefault(pair.a, False)
            replies.setdefault(pair.b, False)
    ours = ideal = count = 0
    for question, replies in known.items():
        if len(replies) < 3:
            continue
        right = {index for index, is_right in enumerate(replies.values()) if is_right}
        groups = vote(question, list(replies)).groups
        wrong = (tuple(index for index in group if index not in right) for group in groups)
        best = max((tuple(sorted(right)), *filter(None, wrong)), key=lambda group: (len(group), -group[0]))
        count += 1
        ours += groups[0][0] in right
        ideal += best[0] in right
    return ours, ideal, count


def open_triples() -> tuple[int, int]:
    """Return how many triples of unlike replies of the local model to open questions agree, and of how many."""
    agree = count = 0
    with serving(parallel=os.cpu_count() or 2) as model, ThreadPoolExecutor(os.cpu_count() or 2) as threads:
        client = OpenAI(base_url=f"{model.base_url}/v1", api_key=model.api_key)

        def reply(question: str) -> str:
            done = client.chat.completions.create(
                model=model.model,
                messages=[{"role": "user", "content": question}],
                max_tokens=TOKENS,
                temperature=1.0,
            )
            return done.choices[0].message.content or ""

        for question in OPEN:
            replies = dict.fromkeys(threads.map(reply, [question] * REPLIES))
            for triple in combinations(replies, 3):
                agree += vote(question, triple).unanimous
                count += 1
    return agree, count


def waits() -> Iterator[str]:
    """Yield lines: the start of the child, and a quick vote alone and beside as many slow ones as fit."""
    starts, alone, beside, memory = [], [], [], []
    for _ in range(TIMES):
        algebra = Equivalence()
        starts.append(_seconds(algebra, "x+1", "1+x"))
        time.sleep(2)  # it learns meanwhile, as it does while the first plans of a request are made
        alone.append(_seconds(algebra, r"x\sqrt{8}", r"2x\sqrt{2}"))
        slow = [algebra.submit(SLOW, f"{number}+{SLOW}") for number in range(AT_ONCE - 1)]
        time.sleep(0.5)  # all of them run
        beside.append(_seconds(algebra, r"x\sqrt{18}", r"3x\sqrt{2}"))
        memory.append(_resident(algebra.pid))
        if any(result.done() for result in slow):
            raise RuntimeError("a slow comparison ended before the quick one: the time beside it says nothing")
        algebra.close()
    yield f"first comparison, from the start of the child: {_median(starts)}"
    yield f"a quick vote alone: {_median(alone)}"
    yield f"a quick vote beside {AT_ONCE - 1} slow ones: {_median(beside)}"
    yield f"memory of the child: {statistics.median(memory):.0f} MB"


def _seconds(algebra: Equivalence, one: str, other: str) -> float:
    begin = time.perf_counter()
    if vote("", [f"${one}$", f"${other}$"], algebra).agreement != 1.0:
        raise RuntimeError(f"{one} and {other} are not found equal")
    return time.perf_counter() - begin


def _resident(pid: int | None) -> float:
    """Return a process's resident memory, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def _median(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} s (at most {max(seconds):.2f} s of {len(seconds)})"
