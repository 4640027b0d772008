"""The approach: OptiLLM's planning functions, driven through the seam. Of the model client it sees only `llm.base`."""
