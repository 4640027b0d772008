"""The statistical mode on a command line."""

from __future__ import annotations

import argparse
import dataclasses
import difflib

from .lengths import Lengths
from .statistical import Statistics

_SKILLS = {
    "rater_right": "that a right answer is rated 1",
    "rater_wrong": "that a wrong answer is rated 0",
    "review_finds": "that a review picks the right answer among those that it is shown",
    "review_keeps": "that a review keeps the most frequent answer otherwise",
}


def add_statistical(parser: argparse.ArgumentParser) -> None:
    """Add the mode's options to a command line; `statistics_from` reads them back. The seed is the latency's."""
    group = parser.add_argument_group(
        "statistical answers",
        "for questions with a tag such as [[sim id=1 p=0.6 answer=42]]; the skills are from 0 to 1",
    )
    group.add_argument("--statistical", action="store_true", help="answer as a simulated model with these skills")
    for name, meaning in _SKILLS.items():
        default = getattr(Statistics, name)
        flag = f"--{name.replace('_', '-')}"
        group.add_argument(flag, type=float, metavar="P", help=f"probability {meaning} (default: {default})")
    names = ", ".join(item.name for item in dataclasses.fields(Lengths))
    group.add_argument(
        "--reply-tokens", metavar="LENGTHS", help=f"mean tokens of replies, as plan=400,rating=100; {names}"
    )


def statistics_from(args: argparse.Namespace) -> Statistics | None:
    """The mode's options on a command line, None when it is off. Raises ValueError that says what to mend."""
    skills = {name: getattr(args, name) for name in _SKILLS if getattr(args, name) is not None}
    if not args.statistical:
        if skills or args.reply_tokens:
            name = next(iter(skills), "reply_tokens").replace("_", "-")
            raise ValueError(f"--{name} means something with --statistical only")
        return None
    return Statistics(**skills, lengths=parse_lengths(args.reply_tokens or ""), seed=args.seed)


def parse_lengths(text: str) -> Lengths:
    """Lengths from pairs such as `plan=400,rating=100,sigma=0`; empty: the defaults."""
    names = [item.name for item in dataclasses.fields(Lengths)]
    found: dict[str, float] = {}
    for pair in text.split(",") if text else ():
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
            raise ValueError(f"reply-tokens: unknown kind {name!r}; {hint}")
        try:
            found[name] = float(value)
        except ValueError:
            raise ValueError(f"reply-tokens: {name} needs a number, not {value!r}") from None
    return Lengths(**found)
