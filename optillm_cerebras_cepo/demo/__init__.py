"""What the demo starts: child processes, and a small local model if there is no API key."""
