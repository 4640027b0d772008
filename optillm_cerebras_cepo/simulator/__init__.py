"""A simulated Cerebras API: as strict as the real one, over real HTTP, without a key.

It imports nothing of the package around it, so that it can bear witness against it. Its answers are scripted; what
stands here about the real API is marked [recorded] or [assumed] where it stands.
"""

from . import problems
from .answers import DEFAULT_TEXT, Fault, Rule
from .latency import Latency
from .ledger import CLIENT_GONE, NO_ANSWER, Call, Totals
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
    "FREE_TIER",
    "NO_ANSWER",
    "UNLIMITED",
    "Call",
    "Fault",
    "Latency",
    "RateLimits",
    "Reply",
    "Rule",
    "Simulator",
    "SimulatorOptions",
    "Totals",
    "add_arguments",
    "load_rules",
    "options_from",
    "problems",
    "serve",
]
