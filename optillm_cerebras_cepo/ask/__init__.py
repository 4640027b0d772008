"""Ask one question and watch it being answered: here in this process, or by a server."""
