"""Properties for arbitrary replies of an API: generated statuses, headers, bodies and delays, over real HTTP."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from conftest import KEY
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.once import once
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Parameters, Question
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator import Rule, Simulator, SimulatorOptions
from optillm_cerebras_cepo.simulator.problems import Reply

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking over HTTP takes minutes
SECONDS = 0.4  # deadline of a request whose calls are counted
FIELDS = ("temperature", "top_p", "seed", "user", "stop", "frequency_penalty", "max_completion_tokens", "messages")

numbers = st.sampled_from(["0", "0.001", "1e-9", "nan", "-1", "x", "1e400"]) | st.integers(-5, 5000).map(str)
limits = st.tuples(
    st.sampled_from(["limit", "remaining"]), st.sampled_from(["requests", "tokens"]), st.just("minute")
).map(lambda name: "x-ratelimit-{}-{}-{}".format(*name))
headers = st.dictionaries(limits, numbers, max_size=3).flatmap(
    lambda told: st.one_of(
        st.just(told),
        (st.sampled_from(["0", "0.001", "1e-9"]) | numbers).map(lambda after: {**told, "retry-after": after}),
    )
)
# The wordings of a value that is refused, of a limit, and of nothing that anybody knows. That a field is unsupported,
# and how long a context is, are facts of the account: they hold for others too, and are not among these.
refusals = st.builds(
    "{}{}{}".format,
    st.sampled_from([*FIELDS, "response_format.json_schema.schema.properties.temperature"]),
    st.sampled_from(
        [": Input should be less than or equal to ", " must be at least ", ": invalid value ", "\n must be "]
    ),
    numbers,
)
quotas = st.sampled_from(["Requests per minute limit exceeded - too many requests sent.", "Tokens per minute exceeded"])
messages = st.one_of(
    refusals, quotas, st.text(st.characters(codec="utf-8", exclude_categories=["C", "L"]), max_size=20)
)
bodies = st.one_of(
    st.builds(
        lambda text, param, code: {"message": text, "type": "t", "param": param, "code": code},
        messages,
        st.sampled_from(["", "validation_error"]) | st.sampled_from(FIELDS),
        st.sampled_from(["", "wrong_api_format", "queue_exceeded", "request_quota_exceeded"]),
    ),
    st.sampled_from(["", "<html>no</html>", "[]", "null", '"text"', '{"choices": []}', '{"error": {"message": "no"}}']),
)
statuses = [200, 400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503]
replies = st.builds(Reply, st.sampled_from([400, 429, 503]) | st.sampled_from(statuses), bodies, headers)
rules = st.lists(
    st.one_of(
        st.builds(Rule, reply=replies, latency=st.sampled_from([0.0, 0.01]), times=st.integers(1, 50)),
        st.builds(Rule, fault=st.sampled_from(["close", "reset", "invalid_json", "no_choices", "empty_content"]),
                  times=st.integers(1, 50)),
    ),
    min_size=1,
    max_size=4,
).map(tuple)  # fmt: skip
request_parameters = st.builds(
    Parameters,
    temperature=st.floats(0, 2),
    top_p=st.floats(0, 1),
    seed=st.integers(-(2**63), 2**63 - 1),
    stop=st.just(("END",)),
    user=st.just("somebody"),
    frequency_penalty=st.floats(-2, 2),
    max_tokens=st.integers(1, 100),
)


def meet(
    api: Simulator, runtime: Runtime, parameters: Parameters, deadline: Deadline, text: str = "One?", **settings: Any
) -> None:
    """Run one request, and ignore its outcome."""
    client = runtime.client(api.url, KEY)
    with suppress(CepoError):
        solve(runtime, Question(text), Settings(**settings), client, parameters=parameters, deadline=deadline)


def calls_for(api: Simulator, text: str) -> list[Any]:
    """Return the bodies of the calls with this question."""
    return [call.body for call in api.chat_calls if call.body["messages"][-1]["content"] == text]


@pytest.mark.parametrize(("effort", "calls_at_once"), [("none", 1), ("low", 3)])
@settings(max_examples=10, phases=UNSHRUNK)
@given(rules, st.lists(replies, max_size=2), request_parameters)
def test_a_request_makes_a_bounded_number_of_calls_a_second(
    effort: str, calls_at_once: int, rules: tuple[Rule, ...], lists: list[Reply], parameters: Parameters
) -> None:
    """Each call and the list of models have few attempts in the first half second, whatever the API replies."""
    options = SimulatorOptions(rules=tuple(replace(rule, times=None) for rule in rules), lists=tuple(lists))
    with Simulator(options) as api:
        runtime = Runtime()
        meet(api, runtime, parameters, Deadline(SECONDS), effort=effort, call_attempts=100)
        runtime.reset()
        # A try, a free one and one after 0.25 s; and all of it again without one field or another.
        assert len(api.chat_calls) <= 12 * 4 * calls_at_once
        assert len(api.calls) - len(api.chat_calls) <= 8


@settings(max_examples=25, phases=UNSHRUNK)
@given(rules, request_parameters, request_parameters)
def test_what_one_request_meets_never_changes_anothers_calls(
    rules: tuple[Rule, ...], one: Parameters, other: Parameters
) -> None:
    """After a refused value, an invalid header or a broken reply, the next client's calls are unchanged."""
    sent = []
    for met in (rules, ()):
        with Simulator(SimulatorOptions(rules=met)) as api:
            runtime, until_sent = Runtime(time_scale=1000), Deadline(600.0)
            meet(api, runtime, one, Deadline(SECONDS), effort="none", call_attempts=2)
            once(partial(calls_for, api, "Another?"), until_sent.end)  # what it is answered is of no interest
            meet(api, runtime, other, until_sent, "Another?", effort="none", call_attempts=1)
            runtime.reset()
            sent.append(calls_for(api, "Another?")[0])
    assert sent[0] == sent[1]
