"""Which approach a request chooses, where only some are served; OptiLLM alone runs whatever anybody names. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from optillm_cerebras_cepo.errors import BadRequest

AUTO = "auto"  # OptiLLM's word for: as the model's name says
FIELD = "optillm_approach"


@dataclass(frozen=True)
class Chosen:
    """The approach, or several joined by `&` or `|`; and the model's name without any."""

    approach: str
    model: str

    @property
    def names(self) -> tuple[str, ...]:
        """The approaches by themselves."""
        return tuple(re.split("[&|]", self.approach))


def choose(
    model: str,
    named: object,
    *,
    tag: str | None,
    standing: str,
    served: Collection[str],
    known: Collection[str],
) -> Chosen:
    """Settle who answers.

    Args:
        model: as the client names it; approaches may stand before it, as in `none-llama3.3-70b`.
        named: the body's `optillm_approach`, or None.
        tag: what a message chooses, where messages may.
        standing: the server's own approach.
        served: what may be chosen.
        known: all of OptiLLM's approaches, for they are no part of a model's name.

    Raises:
        BadRequest: the choice is not served; `param` names the field that made it.

    """
    if not isinstance(named, str | None):
        raise BadRequest(f"{FIELD} must be a text", param=FIELD)
    before, rest = _split(model, known)
    for approach in before:
        _check(approach, served, "model")
    if tag is not None:
        _check(tag, served, "messages")
    if named not in (None, AUTO):
        _check(str(named), served, FIELD)
    first = before[0] if before else standing
    return Chosen(tag or (str(named) if named not in (None, AUTO) else first), rest)


def _split(model: str, known: Collection[str]) -> tuple[list[str], str]:
    """The approaches before a model's name, as OptiLLM reads them (parse_combined_approach), and the name."""
    parts = model.split("-")
    count = 0
    while count < len(parts) and (parts[count] in known or re.search("[&|]", parts[count])):
        count += 1
    return parts[:count], "-".join(parts[count:])


def _check(approach: str, served: Collection[str], param: str) -> None:
    """Raise BadRequest for what is not served. The name is not repeated: it may be any text.

    Nor is an approach served twice in a combination, which would multiply what a request costs, nor under both signs,
    of which OptiLLM reads one.
    """
    names = re.split("[&|]", approach)
    combinable = "none" not in names and len(set(names)) == len(names) and not {"&", "|"} <= set(approach)
    if any(name not in served for name in names) or (len(names) > 1 and not combinable):
        choice = ", ".join(sorted(served))
        raise BadRequest(f"this server does not serve that approach; it serves {choice}", param=param)
