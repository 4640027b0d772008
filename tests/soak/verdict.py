"""The promises of a soak run, and whether it kept them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from bench.page import Claim, claims_table, table

from soak.load import KINDS, Received
from soak.process import NAMES, maxima, means
from soak.run import FAULTS, Leg, Soak, Spent

GROWTH = 5.0
"""MiB that the process may grow by between the first third and the last.

In a short run these are Python's pools and the first use of this and that, in a long one the remembered lengths of
replies. A leak of 1 KiB a call, a quarter of what a call's prompt and reply take, is 12 MiB in the ten minutes.
"""

THREADS = 16
"""At once, for each client: the server's and the request's own, those of two candidates and of their attempts, ratings,
and what is left of a request that was hung up on while the next one is under way."""

CALLS = 64
"""At once: `CEPO_CEREBRAS_CONCURRENCY`. No more connections are needed; OptiLLM makes one more for each request."""

SPARE = 2  # threads and files that may come and go at rest: a timer, a connection that is being closed
BROKEN_STREAM = "stream_broken"  # what a client has read cannot be asked for anew
LOGGED = re.compile(
    r"the client hung up; (\d+) calls were made, \d+ of them aborted in flight, and (\d+) \+ (\d+) tokens"
)


def hung_up(received: Received) -> bool:
    """Return whether the client hung up before the end of the reply."""
    return not received.whole


def lost(received: Received) -> bool:
    """Return whether a request ended otherwise than its kind requires; a request that was hung up on is never lost."""
    kind = KINDS[received.kind]
    if hung_up(received):
        return kind.patience is None
    if received.code == BROKEN_STREAM:
        return "stream" not in kind.body
    return received.status != kind.status or (kind.status == 200 and received.code is not None)


def claims(soak: Soak) -> list[Claim]:
    """Return each promise with the measured value."""
    first, last = _thirds(soak)
    at_rest = [leg.rest for leg in soak.legs[1:]]
    peak = maxima([one for leg in soak.legs for one in leg.loaded])
    grown = means([leg.rest for leg in last]).memory - means([leg.rest for leg in first]).memory
    threads = max(one.threads for one in at_rest) - min(one.threads for one in at_rest)
    files = [one.files - one.api_sockets for one in at_rest]
    sockets = max(one.api_sockets for one in at_rest)
    return [
        _most("memory at rest, last third against first, MiB", grown, GROWTH),
        _most("threads at rest, most against least", threads, SPARE),
        _most("threads at once under load", peak.threads, THREADS * soak.clients),
        _most("files at rest without connections to the API, most against least", max(files) - min(files), SPARE),
        _most("connections to the API, kept at rest", sockets, CALLS),
        _most("connections to the API, under load", peak.api_sockets, CALLS + 2 * soak.clients),
        _most("connections of clients at rest", max(one.client_sockets for one in at_rest), 0),
        _most("connections of clients under load", peak.client_sockets, 2 * soak.clients),
        *_of_requests(soak),
    ]


def _of_requests(soak: Soak) -> list[Claim]:
    gone = [received for received in soak.received if lost(received)]
    wrong = [
        received
        for leg in soak.legs
        for received in leg.received
        if not hung_up(received) and _received(received) != _counted(leg, received)
    ]
    nobody = {name for leg in soak.legs for name in leg.spent} - {received.name for received in soak.received}
    ends = sum((Counter(leg.ends) for leg in soak.legs), Counter())
    left, seen = _left(soak), logged(soak.log)
    missed = left.prompt_tokens - seen.prompt_tokens
    # Of each that was hung up on, one reply may have been on its way: the API has counted it, and nobody reads it.
    leavers = sum(hung_up(received) for received in soak.received)
    every = sum((one for leg in soak.legs for one in leg.spent.values()), Spent())
    on_their_way = leavers * every.prompt_tokens / max(1, every.calls)
    share = 1 - (ends["200"] + ends["499"]) / max(1, ends.total())
    return [
        _most("requests lost", len(gone), 0),
        _most("answers and errors whose calls or tokens are not the API's", len(wrong), 0),
        _most("calls that belong to no request", len(nobody), 0),
        Claim(
            "prompt tokens of hang-ups that the log does not have",
            f"0 to {on_their_way:,.0f}: a call each",
            f"{missed:,}",
            0 <= missed <= on_their_way,
        ),
        Claim("share of the calls that met a fault", "at least 5 %", f"{share:.1%}", share >= sum(FAULTS.values()) / 2),
    ]


def report(soak: Soak) -> str:
    """Return the figures in Markdown."""
    first, last = _thirds(soak)
    loaded = [means([one for leg in legs for one in leg.loaded]) for legs in (first, last)]
    rest = [means([leg.rest for leg in legs]) for legs in (first, last)]
    peak = maxima([one for leg in soak.legs for one in [*leg.loaded, leg.rest]])
    names = {"memory": "memory, MiB", "files": "file descriptors", "children": "child processes"}
    columns = [*loaded, *rest, peak]
    rows = [
        [
            names.get(name, name.replace("_", " ").replace("api", "API")),
            *(f"{getattr(one, name):.1f}" for one in columns),
        ]
        for name in NAMES
    ]
    head = ["", "load, first third", "load, last third", "rest, first third", "rest, last third", "most"]
    ends = sum((Counter(leg.ends) for leg in soak.legs), Counter())
    gone = [received for received in soak.received if hung_up(received)]
    broken = sum(received.code == BROKEN_STREAM for received in soak.received)
    answered = sum((_received(received) for received in soak.received if not hung_up(received)), Spent())
    left = _left(soak)
    total = sum((one for leg in soak.legs for one in leg.spent.values()), Spent())
    lines = [
        f"{soak.seconds / 60:.1f} minutes of load by {soak.clients} clients, in {len(soak.legs)} legs with a rest after"
        f" each: {len(soak.received):,} requests and {ends.total():,} calls, of which {_faulty(ends):,} met a fault."
        f" {len(gone):,} requests were hung up on; {broken} streams broke off after their beginning.",
        table(head, rows),
        table(
            ["", "calls", "prompt tokens", "completion tokens"],
            [
                [what, f"{one.calls:,}", f"{one.prompt_tokens:,}", f"{one.completion_tokens:,}"]
                for what, one in (
                    ("received by clients that waited, in replies and errors", answered),
                    ("counted by the API for those that hung up", left),
                    ("of them in OptiLLM's log", logged(soak.log)),
                    ("counted by the API in all", total),
                )
            ],
        ),
        claims_table(claims(soak)),
    ]
    return "\n\n".join(lines) + "\n"


def logged(log: str) -> Spent:
    """Return what the log says that requests cost whose clients hung up."""
    return sum((Spent(*map(int, found)) for found in LOGGED.findall(log)), Spent())


def _thirds(soak: Soak) -> tuple[Sequence[Leg], Sequence[Leg]]:
    """Return the first and the last third of the legs, without the very first leg, which warms up."""
    third = len(soak.legs) // 3
    return soak.legs[1 : third + 1], soak.legs[-third:]


def _left(soak: Soak) -> Spent:
    """Return what the API counted for requests whose clients hung up."""
    return sum(
        (_counted(leg, received) for leg in soak.legs for received in leg.received if hung_up(received)), Spent()
    )


def _received(received: Received) -> Spent:
    return Spent(received.calls, received.prompt_tokens, received.completion_tokens)


def _counted(leg: Leg, received: Received) -> Spent:
    return leg.spent.get(received.name, Spent())


def _faulty(ends: Counter[str]) -> int:
    return ends.total() - ends["200"] - ends["499"]


def _most(what: str, seen: float, limit: float) -> Claim:
    return Claim(what, f"at most {limit:g}", f"{seen:.3g}", seen <= limit)
