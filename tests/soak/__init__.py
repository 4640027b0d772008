"""Steady load with faults on a real optillm, and what the process grows by meanwhile."""
