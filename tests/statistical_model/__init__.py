"""A simulated model with known skills: answers questions by random draws, for benchmarks and tests.

Its replies follow from assumed probabilities, so it shows how calls, tokens and accuracy relate, not what a real model
achieves. `responder` lets the simulated API answer with it.
"""
