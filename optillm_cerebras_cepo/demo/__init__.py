"""One question through stock OptiLLM and this plugin, answered by a small local model if there is no API key."""
