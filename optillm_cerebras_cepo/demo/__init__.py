"""One question through stock OptiLLM and this plugin, with a small model on this machine when there is no API key."""
