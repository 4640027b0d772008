"""A simulated Cerebras API: as strict as the real one, over real HTTP, without a key.

It imports no other part of the package, so tests can check the package against it. Replies come from rules, a responder
or a default text. Comments mark behavior of the real API as [recorded] (from public reports) or [assumed].
"""

from . import problems
from .answers import DEFAULT_TEXT, Answer, Responder, Rule, ToolUse
from .call_log import CLIENT_GONE, NO_ANSWER, Call, Totals
from .faults import FAULTS, Fault, Faults
from .latency import Latency
from .limits import DEVELOPER_TIER, FREE_TIER, UNLIMITED, RateLimits
from .models import DEFAULT_MODELS
from .options import SimulatorOptions, add_arguments, load_rules, options_from
from .problems import Reply
from .server import Simulator, serve

__all__ = [
    "CLIENT_GONE",
    "DEFAULT_MODELS",
    "DEFAULT_TEXT",
    "DEVELOPER_TIER",
    "FAULTS",
    "FREE_TIER",
    "NO_ANSWER",
    "UNLIMITED",
    "Answer",
    "Call",
    "Fault",
    "Faults",
    "Latency",
    "RateLimits",
    "Reply",
    "Responder",
    "Rule",
    "Simulator",
    "SimulatorOptions",
    "ToolUse",
    "Totals",
    "add_arguments",
    "load_rules",
    "options_from",
    "problems",
    "serve",
]
