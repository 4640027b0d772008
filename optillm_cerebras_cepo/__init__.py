"""CePO for OptiLLM that works on the Cerebras API.

The package calls the planning functions of the installed OptiLLM; it contains no copy of them. `docs/architecture.md`
shows the layers.
"""

__version__ = "0.1.0"
