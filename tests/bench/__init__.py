"""Benchmarks of OptiLLM's loop and ours in one run. `make bench` writes docs/benchmarks.md."""
