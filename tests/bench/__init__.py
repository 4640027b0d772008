"""Benchmarks: OptiLLM's loop and ours side by side, in one run. `make bench` writes docs/benchmarks.md."""
