"""The approach: OptiLLM's planning functions, called through the seam. Its model client is a `ChatClient`."""
