"""Apply a request's own parameters to the CePO step that writes the answer."""

from __future__ import annotations

from checkout import Checkout

CEPO, SERVER = "optillm/cepo/cepo.py", "optillm/server.py"
# Each function that calls the next one, from the server to the step that writes the answer.
CALLS = (
    (SERVER, "execute_single_approach", "cepo"),
    (CEPO, "cepo", "generate_n_completions"),
    (CEPO, "generate_n_completions", "generate_completion"),
)

PARAMETERS = '''

# What a request may say of the answer that it gets
ANSWER_PARAMETERS = (
    "temperature", "top_p", "max_tokens", "stop", "seed", "response_format", "presence_penalty", "frequency_penalty"
)


def answer_parameters(request_config: Optional[dict]) -> dict:
    """
    Return those parameters of a request that belong to the step which writes its answer.

    The other steps write for each other: a `stop` or a `response_format` would break them.
    """
    given = request_config or {}
    return {name: given[name] for name in ANSWER_PARAMETERS if given.get(name) is not None}


'''


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py and optillm/server.py."""
    source = checkout.source(CEPO)
    for path, caller, called in CALLS:
        call = rf"((?<!def )\b{called}\(.*request_id)\)"
        checkout.source(path).sub(caller, call, r"\1, request_config=request_config)")
        source.sub(called, r"^(def .*)(\) -> .*:)$", r"\1, request_config: dict = None\2")
    # Step 4: the request that is made under this condition.
    last = r"planning_max_tokens_step4 != 0:\n(?:.*\n)*?( +)provider_request = \{\n(?:.*\n)*? +\}\n"
    update = r"\g<0>\1provider_request.update(answer_parameters(request_config))\n"
    source.sub("generate_completion", last, update)
    source.add_before("generate_completion", PARAMETERS)
