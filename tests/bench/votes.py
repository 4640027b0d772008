"""Compare votes with labelled pairs of answers, beside math_verify and OptiLLM's majority: `make votes`.

A pair is two replies to a question, and whether they give the same answer. A false agreement calls two different
answers the same; a false difference calls two equal answers different. Pairs are read from the file that
`--pairs` names, a JSON object a line; without it, from the sets of `tests/support/answer_sets.py`. Whole votes and
their times (`vote_sets.py`) follow the table.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.vote_pairs import GROUPS, OWN, Pair, own_pairs, read_pairs
from bench.vote_sets import open_triples, own_sets, real_majorities, waits
from optillm_cerebras_cepo.voting.algebra_process import equal_formulas
from optillm_cerebras_cepo.voting.vote import vote


def ours(pair: Pair) -> bool:
    """Return whether our vote puts both into one group."""
    return vote(pair.question, [pair.a, pair.b]).unanimous


def math_verify_says(pair: Pair) -> bool:
    """Return whether math_verify's own extraction and comparison, in either order, find them equal."""
    from math_verify import parse, verify  # type: ignore[import-untyped]  # it ships no types

    one, other = parse(pair.a), parse(pair.b)
    return bool(verify(one, other) or verify(other, one))


def optillm_says(pair: Pair) -> bool:
    """Return whether OptiLLM's majority counts both replies as one answer."""
    from optillm.cepo.cepo import rate_completions_majority

    return bool(rate_completions_majority([pair.a, pair.b])[1] == 2)


GRADERS: dict[str, Callable[[Pair], bool]] = {"ours": ours, "math_verify": math_verify_says, "OptiLLM": optillm_says}


@dataclass
class Tally:
    """Counts of one grader on one group of pairs."""

    different: int = 0
    false_agreements: int = 0
    same: int = 0
    false_differences: int = 0

    def add(self, same: bool, said: bool) -> None:
        """Count a verdict on one pair."""
        if same:
            self.same += 1
            self.false_differences += not said
        else:
            self.different += 1
            self.false_agreements += said


def says(grader: Callable[[Pair], bool], pair: Pair) -> bool:
    """Return a grader's verdict; one that fails finds no agreement."""
    try:
        return grader(pair)
    except Exception:
        return False


def table(tallies: dict[str, dict[str, Tally]]) -> Iterator[str]:
    """Yield the lines of a table: the groups of pairs, and both rates of each grader."""
    names = list(next(iter(tallies.values())))
    yield "| pairs | " + " | ".join(f"{name}: false agreement | {name}: false difference" for name in names) + " |"
    yield "|---" * (1 + 2 * len(names)) + "|"
    for group, by_grader in tallies.items():
        cells = [cell for tally in by_grader.values() for cell in _cells(tally)]
        yield f"| {group} | " + " | ".join(cells) + " |"


def _cells(tally: Tally) -> tuple[str, str]:
    return _rate(tally.false_agreements, tally.different), _rate(tally.false_differences, tally.same)


def _rate(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} % of {of}" if of else "–"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, with --list each pair that a grader got wrong, and what whole votes say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, help="file of pairs")
    parser.add_argument("--only", default="", help="sources that begin like this")
    parser.add_argument("--graders", nargs="*", default=list(GRADERS), choices=list(GRADERS))
    parser.add_argument("--list", dest="listed", action="store_true", help="print the pairs that ours got wrong")
    parser.add_argument("--open", action="store_true", help="ask the local model open questions: some minutes")
    given: Any = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    pairs = read_pairs(given.pairs) if given.pairs and given.pairs.exists() else own_pairs()
    tallies: dict[str, dict[str, Tally]] = {}
    for pair in (pair for pair in pairs if pair.source.startswith(given.only)):
        row = tallies.setdefault(pair.group, {name: Tally() for name in given.graders})
        for name, tally in row.items():
            said = says(GRADERS[name], pair)
            tally.add(pair.same, said)
            if given.listed and name == "ours" and said != pair.same:
                kind = "false agreement" if said else "false difference"
                print(f"{kind} | {pair.source} | {pair.question[-80:]!r} | {pair.a[-160:]!r} | {pair.b[-160:]!r}")
    print("\n".join(table({group: tallies[group] for group in (*GROUPS, OWN) if group in tallies})))
    right, count = own_sets()
    print(f"\nfive answers, three right in varied notation: a right one found in {right} of {count} sets")
    by_vote, ideally, questions = real_majorities(pairs)
    if questions:
        print(f"real replies: majority right for {by_vote} of {questions} questions, {ideally} with an ideal grouping")
    if given.open:
        agree, count = open_triples()
        print(f"open questions to the local model: {agree} of {count} triples of unlike replies agree")
    equal_formulas.close()
    print("\n".join(waits()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
