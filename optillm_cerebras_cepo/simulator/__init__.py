"""A simulated Cerebras API: as strict as the real one, over real HTTP, without a key.

It imports nothing of the package around it, so that it can bear witness against it. Its answers are scripted, or drawn
as a simulated model with known skills would answer (`statistical`); what stands here about the real API is marked
[recorded] or [assumed] where it stands.
"""

from . import problems
from .answers import DEFAULT_TEXT, Rule, ToolUse
from .asked import Asked, Kind, read_call
from .faults import FAULTS, Fault, Faults
from .latency import Latency
from .ledger import CLIENT_GONE, NO_ANSWER, Call, Totals
from .lengths import Lengths
from .limits import DEVELOPER_TIER, FREE_TIER, UNLIMITED, RateLimits
from .models import DEFAULT_MODELS
from .options import SimulatorOptions, add_arguments, load_rules, options_from
from .population import Mix, population
from .problems import Reply
from .questions import SimQuestion, find_question
from .server import Simulator, serve
from .statistical import Said, StatisticalModel, Statistics
from .wording import read_answer

__all__ = [
    "CLIENT_GONE",
    "DEFAULT_MODELS",
    "DEFAULT_TEXT",
    "DEVELOPER_TIER",
    "FAULTS",
    "FREE_TIER",
    "NO_ANSWER",
    "UNLIMITED",
    "Asked",
    "Call",
    "Fault",
    "Faults",
    "Kind",
    "Latency",
    "Lengths",
    "Mix",
    "RateLimits",
    "Reply",
    "Rule",
    "Said",
    "SimQuestion",
    "Simulator",
    "SimulatorOptions",
    "StatisticalModel",
    "Statistics",
    "ToolUse",
    "Totals",
    "add_arguments",
    "find_question",
    "load_rules",
    "options_from",
    "population",
    "problems",
    "read_answer",
    "read_call",
    "serve",
]
