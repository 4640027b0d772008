"""Traces: what each call of a request did, and when; written to a folder, and shown in a terminal."""
