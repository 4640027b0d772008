"""The plugin for an OptiLLM that reads the entry point `optillm.plugins`; importing it registers the plugin."""

from optillm_cerebras_cepo.host.plugin import SLUG, register, run

__all__ = ["SLUG", "run"]

register()
