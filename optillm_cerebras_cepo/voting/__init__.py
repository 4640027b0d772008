"""Voting: compare answers and find the most frequent one. It calls neither a model nor OptiLLM."""
