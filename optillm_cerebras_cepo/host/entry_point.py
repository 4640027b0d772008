"""What the entry point `optillm.plugins` names, for an OptiLLM that reads entry points: the same as the shim.

To import it is to take our place in OptiLLM's server.
"""

from optillm_cerebras_cepo.host.plugin import SLUG, register, run

__all__ = ["SLUG", "run"]

register()
