"""The command `cepo-cerebras`: `main` parses and dispatches, every other module here is one command."""


class CommandError(Exception):
    """A command failed. The message is one line for the terminal; the exit status is 1."""
