"""Whether an answer has the form that a request's `response_format` asks for.

Schema and answer both come from outside: they are checked in bounded time, without the network, and without a regular
expression of the client's.
"""

from optillm_cerebras_cepo.form.asked import Form

__all__ = ["Form"]
