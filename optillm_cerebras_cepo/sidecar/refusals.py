"""What the sidecar refuses by itself: what is no question, and questions that it has no place for."""

from __future__ import annotations

from optillm_cerebras_cepo.errors import BadRequest, CepoError, Ends


class HeadersTooLarge(BadRequest):
    """The request's headers are larger than the server reads."""

    status = 431
    code = "headers_too_large"


class UnknownPath(BadRequest):
    """The server has nothing under this address."""

    status = 404
    code = "unknown_path"


class WrongMethod(BadRequest):
    """What is under this address is asked for otherwise; `allowed` is how."""

    status = 405
    code = "wrong_method"

    def __init__(self, message: str, *, allowed: str = "") -> None:
        super().__init__(message)
        self.allowed = allowed


class OriginRefused(BadRequest):
    """A page in a browser asks a server that wants no key: whoever opens the page would ask in its name."""

    status = 403
    type = "permission_error"
    code = "origin_refused"


class ServerFull(CepoError):
    """The server works on as many requests as it may; none of this one's calls was made."""

    status = 503
    type = "server_error"
    code = "server_full"
    transient = True


class ShuttingDown(CepoError):
    """The server is stopping; another one, or the next, may answer."""

    status = 503
    type = "server_error"
    code = "shutting_down"
    ends = Ends.REQUEST
    discards_answers = True

    @property
    def again(self) -> bool:
        """Somebody else may answer."""
        return True
