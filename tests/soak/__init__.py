"""Steady load with faults on a real optillm, and what the process's use of resources grows by."""
