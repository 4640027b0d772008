"""CePO for OptiLLM that works on the Cerebras API.

The package drives the planning functions of the installed OptiLLM; it holds no copy of them. `docs/architecture.md`
shows the layers.
"""

__version__ = "0.1.0"
