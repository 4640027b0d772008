"""The production server: OptiLLM's application behind waitress, with limits, client keys, logs and metrics."""
