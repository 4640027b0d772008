"""Options of a simulator, and how to read them from a command line and a file of rules."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from . import models
from .answers import Responder, Rule, ToolUse
from .faults import KNOWN, Faults, parse_faults
from .latency import Latency
from .limits import DEVELOPER_TIER, FREE_TIER, UNLIMITED, RateLimits, parse_windows
from .models import DEFAULT_MODELS, Tier
from .problems import Reply

KEY_PREFIX = "csk-"

_PRESETS = {"off": UNLIMITED, "free": FREE_TIER, "developer": DEVELOPER_TIER}


@dataclass(frozen=True)
class SimulatorOptions:
    """Options of a simulated API. Raise ValueError for invalid values.

    Attributes:
        models: ids in the simulator's table, or `endpoint-id=table-id` for a dedicated endpoint.
        tier: whose context lengths apply, "free" or "paid".
        keys: accepted keys; empty: every key that starts with `csk-`.
        rules: scripted answers, tried first.
        responder: answers calls that no rule matches; calls that it does not answer get a default text.
        limits: of each model.
        limit_headers: windows with headers: `all`, `none`, or a list such as `requests-day,tokens-minute`.
        max_in_flight: calls that may run at the same time; further ones get queue_exceeded.
        faults: random faults, drawn before the rules are tried.
        latency: of calls without a latency of their own.
        time_scale: simulated seconds in one real second, for latency, refill and trickling replies.
        validation_status: 400, or 422 as before 2026-04-24.
        unsupported: fields that are refused, one at a time.
        max_temperature: higher ones are refused.
        lists: replies of the list of models, in turn, before the usual one; None: never a reply.
        clock: returns real seconds.

    """

    models: tuple[str, ...] = DEFAULT_MODELS
    tier: Tier = "paid"
    keys: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    responder: Responder | None = None
    limits: RateLimits = UNLIMITED
    limit_headers: str = "all"
    max_in_flight: int | None = None
    faults: Faults = Faults()  # noqa: RUF009 - frozen, so one default instance can be shared
    latency: Latency = Latency()  # noqa: RUF009 - frozen, so one default instance can be shared
    time_scale: float = 1.0
    validation_status: int = 400
    unsupported: tuple[str, ...] = ()
    max_temperature: float = 2.0
    lists: tuple[Reply | None, ...] = ()
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        models.models_by_id(self.models)
        parse_windows(self.limit_headers)
        if self.tier not in ("free", "paid"):
            raise ValueError(f"tier must be 'free' or 'paid', not {self.tier!r}")
        if self.max_in_flight is not None and self.max_in_flight < 1:
            raise ValueError(f"max_in_flight must be at least 1, not {self.max_in_flight}")
        if not self.time_scale > 0:
            raise ValueError(f"time_scale must be above 0, not {self.time_scale}")
        if self.validation_status not in (400, 422):
            raise ValueError(f"validation_status must be 400 or 422, not {self.validation_status}")

    def accepts(self, key: str) -> bool:
        """Return whether this API key is accepted."""
        if self.keys:
            return key in self.keys
        return key.startswith(KEY_PREFIX) and key != KEY_PREFIX


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the simulator's options (without host and port) to a parser; `options_from` reads them."""
    presets = ", ".join(_PRESETS)
    add = parser.add_argument
    add("--model", action="append", metavar="ID", help="a model to serve, or ENDPOINT=ID; may be repeated")
    add("--tier", choices=("free", "paid"), default="paid", help="tier of the context lengths (default: paid)")
    add("--key", action="append", metavar="KEY", help="an API key to accept (default: any that starts with csk-)")
    add("--rules", metavar="FILE", help="scripted answers: a JSON or YAML file with a list of rules")
    add("--limits", default="off", metavar="LIMITS", help=f"rate limits: {presets}, or requests_per_minute=9,burst=3,…")
    add("--fault", action="append", default=[], metavar="NAME=SHARE", help=f"a fault and its probability; {KNOWN}")
    add("--limit-headers", default="all", metavar="WINDOWS", help="all, none, or some, as requests-day,tokens-minute")
    add("--max-in-flight", type=int, metavar="N", help="calls that may run at once; further ones get queue_exceeded")
    add("--latency", type=float, default=0.0, metavar="SECONDS", help="seconds before a call's first token")
    add("--tokens-per-second", type=float, metavar="N", help="speed of the output (default: unlimited)")
    add("--jitter", type=float, default=0.0, metavar="SHARE", help="0 to 1: variation of the latency")
    add("--slow-share", type=float, default=0.0, metavar="SHARE", help="0 to 1: share of slow calls")
    add(
        "--slow-factor",
        type=float,
        default=10.0,
        metavar="N",
        help="how many times as long slow calls take (default: 10)",
    )
    add("--seed", type=int, default=0, metavar="N", help="seed of latency and faults")
    add("--time-scale", type=float, default=1.0, metavar="N", help="simulated seconds in one real second")
    add("--validation-status", type=int, choices=(400, 422), default=400, help="status of validation errors")


def options_from(args: argparse.Namespace) -> SimulatorOptions:
    """Return the options that a parser prepared by `add_arguments` read. Raise ValueError for invalid values."""
    return SimulatorOptions(
        models=tuple(args.model or DEFAULT_MODELS),
        tier=args.tier,
        keys=tuple(args.key or ()),
        rules=load_rules(Path(args.rules)) if args.rules else (),
        limits=parse_limits(args.limits),
        limit_headers=args.limit_headers,
        max_in_flight=args.max_in_flight,
        faults=parse_faults(args.fault, args.seed),
        latency=Latency(
            base=args.latency,
            tokens_per_second=args.tokens_per_second,
            jitter=args.jitter,
            seed=args.seed,
            slow_share=args.slow_share,
            slow_factor=args.slow_factor,
        ),
        time_scale=args.time_scale,
        validation_status=args.validation_status,
    )


def parse_limits(text: str) -> RateLimits:
    """Return the rate limits of `off`, `free`, `developer`, or pairs such as `requests_per_minute=5,burst=3`."""
    if text in _PRESETS:
        return _PRESETS[text]
    names = [item.name for item in dataclasses.fields(RateLimits)]
    found: dict[str, int] = {}
    for pair in text.split(","):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in names:
            raise ValueError(f"limits: unknown limit {name!r}{_hint(name, [*names, *_PRESETS])}")
        try:
            found[name] = int(value.replace("_", ""))
        except ValueError:
            raise ValueError(f"limits: {name} needs a whole number, not {value!r}") from None
    return RateLimits(**found)


def load_rules(path: Path) -> tuple[Rule, ...]:
    """Read a list of rules from a file: JSON if its name ends with .json, otherwise YAML.

    Raise ValueError with the file, the rule (from 1) and the field.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: is neither JSON nor YAML: {error}") from None
    if not isinstance(value, list):
        raise ValueError(f"{path}: must be a list of rules, not {type(value).__name__}")
    try:
        return tuple(TypeAdapter(list[Rule]).validate_python(value))
    except ValidationError as error:
        raise ValueError("\n".join(f"{path}: {_explain(item)}" for item in error.errors())) from None


def _explain(item: Any) -> str:
    number, *field = item["loc"]
    where = f"rule {number + 1}" + (f", {'.'.join(str(step) for step in field)}" if field else "")
    if item["type"] == "unexpected_keyword_argument":
        owner = {"reply": Reply, "tool_calls": ToolUse}.get(str(field[0]), Rule) if len(field) > 1 else Rule
        return f"{where}: unknown field{_hint(str(field[-1]), [known.name for known in dataclasses.fields(owner)])}"
    return f"{where}: {item['msg'].removeprefix('Value error, ')}"


def _hint(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"
