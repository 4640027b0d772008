"""What is refused at OptiLLM's door, and what OptiLLM itself answers there."""

from __future__ import annotations

from optillm_cerebras_cepo.errors import BadRequest, CepoError, Ends


class BodyTooLarge(BadRequest):
    """The request's body is larger than any conversation that a model could read."""

    status = 413
    code = "request_too_large"


class WrongClientKey(CepoError):
    """The client's key is not the one that this server wants, whatever Cerebras would say of the server's own."""

    status = 401
    type = "authentication_error"
    code = "wrong_client_key"
    ends = Ends.REQUEST
    discards_answers = True


class NotACerebrasClient(BadRequest):
    """OptiLLM handed over a client of another provider."""

    code = "not_a_cerebras_client"


class OfTheHost(CepoError):
    """What OptiLLM itself answers; its words are passed on under its own status."""

    code = "optillm"
    ends = Ends.REQUEST
    discards_answers = True
