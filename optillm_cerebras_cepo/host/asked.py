"""What a request asks of us, settled once: before a call is made, so that what is wrong with it costs nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optillm_cerebras_cepo.chat import Question
from optillm_cerebras_cepo.errors import BadRequest
from optillm_cerebras_cepo.form import Form
from optillm_cerebras_cepo.host import configuration
from optillm_cerebras_cepo.host.parameters import parameters_from
from optillm_cerebras_cepo.parameters import Parameters
from optillm_cerebras_cepo.settings import Settings, load


@dataclass(frozen=True)
class Asked:
    """A question, what is wanted of its answer, and what it is answered with."""

    question: Question
    parameters: Parameters
    settings: Settings
    form: Form | None


def asked_from(body: Mapping[str, Any], question: Question) -> Asked:
    """Settle a request.

    Raises:
        BadRequest: a field cannot be as it is; `param` names it.
        BadConfiguration: the server's own settings cannot.

    """
    parameters = parameters_from(body)
    settings = load(configuration.base(), os.environ, body)
    most = settings.max_bestofn_n
    if most is not None and parameters.n > most:
        raise BadRequest(f"n must be at most {most} here: each answer is a candidate's", param="n")
    form = Form(parameters.response_format) if parameters.response_format else None
    return Asked(question, parameters, settings, form)
