"""Check answers against a request's `response_format`.

Schema and answer are not trusted: they are checked in bounded time, without the network, and without running a regular
expression of the client.
"""

from optillm_cerebras_cepo.response_format.json_text import is_object
from optillm_cerebras_cepo.response_format.requested import RequestedFormat

__all__ = ["RequestedFormat", "is_object"]
