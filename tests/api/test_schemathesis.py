"""docs/openapi.yaml against the real `optillm`: whatever is sent, the answer is one that the file describes.

Every request is small: the server allows two candidates of two plans, and a call is made once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from conftest import KEY
from hypothesis import HealthCheck, seed, settings
from schemathesis import Case, Response
from schemathesis.checks import CHECKS, load_all_checks
from support.optillm_process import Server, optillm

from optillm_cerebras_cepo.simulator import Simulator, SimulatorOptions

pytestmark = pytest.mark.slow

FILE = Path(__file__).parents[2] / "docs" / "openapi.yaml"
EXAMPLES = 60
SMALL = {
    "MAX_BESTOFN_N": "2",
    "MAX_PLANNING_M": "2",
    "BESTOFN_N": "1",
    "PLANNING_N": "1",
    "PLANNING_M": "1",
    "CALL_ATTEMPTS": "1",
}
ENVIRON = {"CEREBRAS_API_KEY": KEY, **{f"CEPO_CEREBRAS_{name}": value for name, value in SMALL.items()}}

load_all_checks()
# A request may be refused for what no schema can say: the last message is to be the user's, plans need attempts.
LEFT_OUT: list[Any] = [CHECKS.get_one(name) for name in ("positive_data_acceptance", "not_a_server_error")]
api = schemathesis.openapi.from_path(FILE)
seen: Counter[int] = Counter()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A stock server with ours as its approach, in front of a simulated API."""
    with (
        Simulator(SimulatorOptions()) as simulator,
        optillm("--base-url", simulator.url, "--approach", "cepo_cerebras", environ=ENVIRON) as running,
    ):
        yield running


def in_openais_form(_: Any, response: Response, case: Case[Any]) -> None:
    """No error but in JSON, in one line, with a reason that is no defect, and with the field where one is at fault."""
    seen[response.status_code] += 1
    if response.status_code < 400:
        return
    error = response.json()["error"]
    assert response.status_code != 500, error
    assert response.headers["content-type"][0].partition(";")[0] == "application/json"
    assert error["message"]
    assert "\n" not in error["message"]
    assert response.headers["x-should-retry"][0] in ("true", "false")
    of_the_body = error["message"].startswith(("The body", "Invalid JSON"))
    if (response.status_code, error["code"]) == (400, "invalid_request") and not of_the_body:
        assert error["param"], error


def ends_well(_: Any, response: Response, case: Case[Any]) -> None:
    """The last event of a stream says that it is the last, or what has gone wrong; what all hold is in the file."""
    if response.headers["content-type"][0].startswith("text/event-stream"):
        last = response.content.decode().rstrip("\n").rpartition("\n\n")[2]
        assert last == "data: [DONE]" or "error" in json.loads(last.removeprefix("data: "))


@api.parametrize()
@seed(1)
@settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_one_that_is_described(case: Case[Any], server: Server) -> None:
    """Examples, the edges of every field, wrong kinds of everything, and what chance comes up with."""
    case.call_and_validate(
        base_url=server.url, additional_checks=[in_openais_form, ends_well], excluded_checks=LEFT_OUT, timeout=30
    )


def test_many_were_answered_and_many_refused() -> None:
    """By the test before: what is sent is neither all nonsense nor all sense."""
    assert seen[200] > 200, seen
    assert seen[400] > 200, seen
    assert set(seen) <= {200, 400, 404, 405, 422, 504}, seen


@pytest.mark.parametrize("effort", ["none", "low"])
def test_a_reply_has_no_field_that_is_not_described(effort: str, server: Server) -> None:
    """Of a reply, of its usage, and of our account of it; the file lets other fields through."""
    schemas = yaml.safe_load(FILE.read_text())["components"]["schemas"]
    body = {"messages": [{"role": "user", "content": "Why?"}], "cepo_cerebras_effort": effort}
    reply = server.ask(body).json()
    for part, name in ((reply, "ChatCompletion"), (reply["usage"], "Usage"), (reply["cepo_cerebras"], "Account")):
        assert part.keys() <= schemas[name]["properties"].keys()
