"""No key and no text of a client or a model is in a span, however a request ends. The texts are planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEY as ANOTHER_KEY
from support.planted import BODY, KEY, QUOTE, REPLY, SCHEMA, TOOLS, kinds
from support.spans import Spans

from optillm_cerebras_cepo.simulator import Reply, Rule, Simulator

SMALL = {f"cepo_cerebras_{name}": 1 for name in ("bestofn_n", "planning_n", "planning_m", "call_attempts")}
PAIR = SMALL | {"cepo_cerebras_bestofn_n": 2}
DIRECT = {"cepo_cerebras_effort": "none", "cepo_cerebras_call_attempts": 1}
ANSWERED = (Rule(text=f"{REPLY} Rating: [[1]]"),)
REFUSED = (Rule(reply=Reply(400, {"message": QUOTE, "type": KEY, "param": QUOTE, "code": KEY})),)
OPT_IN = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("body", "rules"),
    [
        (PAIR, ANSWERED),
        ({"cepo_cerebras_effort": "auto"}, ANSWERED),
        (DIRECT, ANSWERED),
        (DIRECT | {"tools": TOOLS}, ANSWERED),
        (SMALL | {"response_format": SCHEMA}, ANSWERED),
        (PAIR, (Rule(times=1, reply=Reply(500, {"message": QUOTE})), *ANSWERED)),
        (SMALL, REFUSED),
        (DIRECT, REFUSED),
        (DIRECT, (Rule(reply=Reply(200, f"<html>{QUOTE}</html>", content_type="text/html")),)),
    ],
    ids=[
        "planned",
        "auto",
        "direct",
        "tools",
        "never in its form",
        "a failed call",
        "refused",
        "refused, direct",
        "page",
    ],
)
def test_no_text_is_in_a_span(
    serve: Any,
    simulate: Callable[..., Simulator],
    spans: Spans,
    monkeypatch: pytest.MonkeyPatch,
    body: dict[str, Any],
    rules: tuple[Rule, ...],
    stream: bool,
) -> None:
    """Not in its name, its attributes, its events or its status; nor with the variable by which others send texts."""
    monkeypatch.setenv(OPT_IN, "true")
    serve(simulate(rules=rules))(headers={"authorization": f"Bearer {KEY}"}, **BODY | body, stream=stream).get_data()
    written = "\n".join(span.to_json() for span in spans.all)
    assert "chat llama-3.3-70b" in written
    assert kinds(written) == set()
    assert ANOTHER_KEY not in written
