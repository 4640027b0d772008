"""However a request ends, no key and no text of it is said to anybody but in the answer itself. A line an outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import optillm.server as server
import pytest
from conftest import KEY as ANOTHER_KEY
from support.planted import BEARER, KEY, MESSAGES, QUOTE, REPLY, SCHEMA, TOOLS, USER, kinds

from optillm_cerebras_cepo.core import events
from optillm_cerebras_cepo.host import hooks, plugin, responses
from optillm_cerebras_cepo.llm.sdk import SdkClient
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.simulator import Reply, Rule, Simulator, ToolUse

SMALL = {f"cepo_cerebras_{name}": 1 for name in ("bestofn_n", "planning_n", "planning_m", "call_attempts")}
PAIR = SMALL | {"cepo_cerebras_bestofn_n": 2}
DIRECT = {"cepo_cerebras_effort": "none", "cepo_cerebras_call_attempts": 1}
STREAM = {"stream": True}
REDIS = f"redis://:{KEY}@127.0.0.1:1"  # nobody is there
WHOLE = (Rule(text=f"{REPLY} Rating: [[1]]"),)
PAGE = f"<html><body>{QUOTE}</body></html>"
EVENT = f'data: {{"error": {{"message": "{QUOTE}", "code": "{KEY}"}}}}\n\n'


def refused(status: int, headers: Mapping[str, str] = {}, **more: str) -> tuple[Rule, ...]:
    """An API that quotes the request and the key."""
    body = {"message": QUOTE, "type": KEY, "param": f"messages.{USER}", "code": KEY} | more
    return (Rule(reply=Reply(status, body, {"x-request-id": "1", **headers})),)


@dataclass(frozen=True)
class Outcome:
    """A way in which a request may end.

    Attributes:
        status: of the response.
        body: fields beside the planted ones.
        rules: the API's answers.
        environ: variables of the server.
        broken: what fails with a message that quotes the request, as an object and the name of its attribute.
        bearer: the client's key.
        config: OptiLLM's own settings.

    """

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[Rule, ...] = WHOLE
    environ: Mapping[str, str] = field(default_factory=dict)
    broken: tuple[Any, str] | None = None
    bearer: str = BEARER
    config: Mapping[str, Any] = field(default_factory=dict)


ANSWERED = {
    "planned": Outcome(200, PAIR),
    "planned, streamed": Outcome(200, PAIR | STREAM),
    "pairwise": Outcome(200, PAIR | {"cepo_cerebras_bestofn_rating_type": "pairwise"}),
    "approaches that cannot be read": Outcome(200, PAIR | {"cepo_cerebras_use_plan_diversity": True}),
    "as needed": Outcome(200, {"cepo_cerebras_effort": "auto"}),
    "as needed, streamed": Outcome(200, STREAM | {"cepo_cerebras_effort": "auto"}),
    "direct": Outcome(200, DIRECT),
    "direct, streamed": Outcome(200, DIRECT | STREAM),
    "several": Outcome(200, DIRECT | {"n": 2}),
    "with tools": Outcome(200, DIRECT | {"tools": TOOLS}),
    "never in its form": Outcome(200, DIRECT | {"response_format": SCHEMA}),
    "never in its form, planned": Outcome(200, SMALL | {"response_format": SCHEMA}),
    "a judge without a word": Outcome(200, PAIR, (Rule(text=REPLY),)),
    "a lost candidate": Outcome(200, PAIR, (Rule(times=1, reply=Reply(500, {"message": QUOTE})), *WHOLE)),
    "a field that the model refuses": Outcome(
        200, DIRECT | {"seed": 1}, (Rule(times=1, reply=Reply(400, {"message": f"seed: {QUOTE}"})), *WHOLE)
    ),
    "a Redis that is away": Outcome(200, SMALL, environ={"CEPO_CEREBRAS_REDIS_URL": REDIS}),
    "in a combination": Outcome(200, SMALL | {"optillm_approach": "cepo_cerebras&cepo_cerebras"}),
}
CALLED = {
    "with calls of tools": Outcome(
        200,
        DIRECT | STREAM | {"tools": TOOLS},
        (Rule(text=REPLY, tool_calls=(ToolUse("planted_toolname", '{"planted_argument": "x"}'),)),),
    )
}
FAILED = {
    "400": Outcome(400, DIRECT, refused(400)),
    "400, planned": Outcome(400, PAIR, refused(400)),
    "400, streamed": Outcome(200, DIRECT | STREAM, refused(400)),
    "401": Outcome(401, PAIR, refused(401)),
    "401, streamed": Outcome(200, PAIR | STREAM, refused(401)),
    "402": Outcome(402, PAIR, refused(402)),
    "403": Outcome(403, PAIR, refused(403)),
    "403 from a gateway": Outcome(403, PAIR, (Rule(reply=Reply(403, PAGE, content_type="text/html")),)),
    "404": Outcome(404, PAIR, refused(404, code="model_not_found")),
    "404 of another server": Outcome(502, PAIR, refused(404)),
    "413": Outcome(413, DIRECT, refused(413)),
    "422": Outcome(422, DIRECT, refused(422)),
    "429": Outcome(429, PAIR | {"cepo_cerebras_deadline": 60}, refused(429, {"retry-after": "300"})),
    "500": Outcome(503, PAIR, refused(500)),
    "the context": Outcome(400, DIRECT, refused(400, code="context_length_exceeded")),
    "a code that is a key": Outcome(400, DIRECT, refused(400, code=KEY)),
    "a page": Outcome(502, DIRECT, (Rule(reply=Reply(200, PAGE, content_type="text/html")),)),
    "a page, streamed": Outcome(200, DIRECT | STREAM, (Rule(reply=Reply(200, PAGE, content_type="text/html")),)),
    "no JSON": Outcome(502, DIRECT, (Rule(reply=Reply(200, f'{{"choices": {QUOTE}')),)),
    "an event of error": Outcome(
        200, DIRECT | STREAM, (Rule(reply=Reply(200, EVENT, content_type="text/event-stream")),)
    ),
    "no choices": Outcome(502, DIRECT, (Rule(text=REPLY, fault="no_choices"),)),
    "nothing said": Outcome(502, PAIR, (Rule(fault="empty_content"),)),
    "cut in the middle": Outcome(502, DIRECT, (Rule(text=f"{REPLY} " * 99, fault="cut"),)),
    "cut in the middle, streamed": Outcome(200, DIRECT | STREAM, (Rule(text=f"{REPLY} " * 99, fault="cut"),)),
    "hung up on": Outcome(502, PAIR, (Rule(fault="close"),)),
    "out of time": Outcome(504, PAIR | {"cepo_cerebras_deadline": 0.05}, (Rule(latency=60.0),)),
}
MISTAKEN = {
    f"{name} {number}": Outcome(400, {name: value})
    for number, (name, value) in enumerate(
        (
            ("messages", USER),
            ("messages", [*MESSAGES, {"role": USER, "content": USER}]),
            ("messages", [*MESSAGES, {"role": "user", "content": {"text": USER}}]),
            ("temperature", USER),
            ("n", USER),
            ("stop", {USER: USER}),
            ("logit_bias", {USER: 1}),
            ("stream", USER),
            ("stream_options", USER),
            ("user", [USER]),
            ("tools", USER),
            ("tool_choice", USER),
            ("parallel_tool_calls", USER),
            ("response_format", {"type": USER}),
            ("response_format", {"type": "json_schema", "json_schema": {"schema": {"$ref": USER}}}),
            ("response_format", {"type": "json_schema", "json_schema": {"schema": {"type": USER}}}),
            ("reasoning_effort", KEY),
            ("optillm_approach", KEY),
            ("model", [KEY]),
            ("cepo_cerebras_model", KEY),
            ("cepo_cerebras_model", f"gpt-oss-120b,{KEY}"),
            ("cepo_cerebras_rating_model", KEY),
            ("cepo_cerebras_effort", KEY),
            ("cepo_cerebras_deadline", KEY),
            ("cepo_cerebras_bestofn_n", KEY),
            ("cepo_cerebras_locked", KEY),
            ("cepo_cerebras_api_key", KEY),
            ("cepo_cerebras_redis_url", REDIS),
        )
    )
}
MISCONFIGURED = {
    f"{name} {number}": Outcome(500, PAIR, environ={name: value})
    for number, (name, value) in enumerate(
        (
            ("CEPO_CEREBRAS_LOCKED", KEY),
            ("CEPO_CEREBRAS_LOCKED", f"model,{KEY}"),
            ("CEPO_CEREBRAS_MODEL", KEY),
            ("CEPO_CEREBRAS_RATING_MODEL", KEY),
            ("CEPO_CEREBRAS_EFFORT", KEY),
            ("CEPO_CEREBRAS_DEADLINE", KEY),
            ("CEPO_CEREBRAS_CONCURRENCY", KEY),
            ("CEPO_CEREBRAS_PROGRESS", KEY),
            ("CEPO_CEREBRAS_API_KEY", KEY),
            ("CEPO_CEREBRAS_REDIS_URL", KEY),
            ("CEPO_CEREBRAS_REDIS_URL", f"{REDIS}x"),
            ("CEPO_CEREBRAS_REDIS_URL", f"{REDIS}?{USER}={KEY}"),
            ("OPTILLM_API_KEY", KEY),
        )
    )
}
KEYS = {
    "a bearer of another provider": Outcome(400, PAIR, bearer=f"sk-{BEARER}"),
    "not the server's bearer": Outcome(401, PAIR, config={"optillm_api_key": ANOTHER_KEY}),
    "a key with a line's end": Outcome(500, PAIR, environ={"CEREBRAS_API_KEY": f"{KEY}\n"}),
    "a key with an umlaut": Outcome(500, PAIR, environ={"CEREBRAS_API_KEY": f"{KEY}ü"}),
}
DEFECTS = {
    "in the hooks": Outcome(500, broken=(hooks, "parse_request")),
    "in the plugin": Outcome(500, broken=(plugin, "execution_of")),
    "in the execution": Outcome(500, broken=(RUNTIME, "answer")),
    "in the execution, streamed": Outcome(200, STREAM, broken=(RUNTIME, "answer")),
    "in a call": Outcome(500, PAIR, broken=(SdkClient, "complete")),
    "in a direct call": Outcome(500, DIRECT, broken=(SdkClient, "complete")),
    "in a direct call, streamed": Outcome(200, DIRECT | STREAM, broken=(SdkClient, "complete")),
    "in the network's thread": Outcome(500, DIRECT, broken=(SdkClient, "_whole")),
    "in the reply": Outcome(500, DIRECT, broken=(responses, "full")),
    "in the stream": Outcome(200, DIRECT | STREAM, broken=(responses, "account")),
    "in the stream's progress": Outcome(200, PAIR | STREAM, broken=(events, "describe")),
}
OUTCOMES = ANSWERED | CALLED | FAILED | MISTAKEN | MISCONFIGURED | KEYS | DEFECTS


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("name", OUTCOMES)
def test_nothing_is_told_of_a_request_that_ends(
    name: str, simulate: Callable[..., Simulator], listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In no log, no error, no head and no account; the client has its answer, and nobody else."""
    outcome = OUTCOMES[name]
    for variable, value in outcome.environ.items():
        monkeypatch.setenv(variable, value)
    for setting, value in outcome.config.items():
        monkeypatch.setitem(server.server_config, setting, value)
    if outcome.broken:
        monkeypatch.setattr(*outcome.broken, _fail)
    api = simulate(rules=outcome.rules)
    said = listen(api, outcome.bearer, **outcome.body)
    assert kinds(said.told) == set()
    assert kinds(said.logged) == set()
    assert kinds(said.printed) == set()
    assert said.status == outcome.status
    assert kinds(said.answer) <= {"reply"}
    assert "reply" in kinds(said.answer) or name not in ANSWERED
    assert kinds("".join(str(call.headers) for call in api.calls)) == set()


def _fail(*_: Any, **__: Any) -> Any:
    raise RuntimeError(QUOTE)
