"""Which answers are the same answer, and which of several most candidates give. Pure: no model, no OptiLLM."""
