"""A simulated API behind a real sidecar, another one for direct calls, and the example backend between them and us."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import KEY
from support.backend import CLIENT_KEY, DIRECT, LONG, House, backend, sidecar

from optillm_cerebras_cepo.simulator import Reply, Rule, Simulator, SimulatorOptions, problems

# What the word in a question makes of the API behind the sidecar. A planned question is in all of its calls' prompts.
MOODS = (
    Rule(pattern="SLOW", search_in="all", fault="hang"),
    Rule(pattern="HELD", search_in="all", held=True),
    Rule(pattern="LONG", search_in="all", text=LONG, held=True),  # in the middle, where it is streamed
    Rule(pattern="CUT", search_in="all", text=LONG, fault="cut"),
    Rule(pattern="FAILING", search_in="all", reply=problems.internal_error()),
)
# At the API of direct calls, and at a gateway before it: they quote the question, as validation errors do.
QUOTING = (
    Rule(pattern="QUOTED", reply=Reply(400, {"message": "planted-quote", "code": "wrong_api_format"})),
    Rule(pattern="GATEWAY", reply=Reply(400, {"error": {"message": "planted-quote", "code": "wrong_api_format"}})),
    Rule(pattern="PAGE", reply=problems.gateway_page()),
)


@pytest.fixture(scope="package")
def direct() -> Iterator[Simulator]:
    """The API of direct calls."""
    with Simulator(SimulatorOptions(rules=(*QUOTING, Rule(text=DIRECT)))) as api:
        yield api


@pytest.fixture(scope="package")
def calm(direct: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for all tests that leave it as it was.

    The backend has its keys as files, as docker/compose.yaml gives them: beside empty variables, the sidecar's list of
    clients' keys as it is, and nothing but /dev/null where a value comes from the shell.
    """
    secrets = tmp_path_factory.mktemp("secrets")
    (secrets / "cerebras_api_key").write_text(f"{KEY}\n")
    (secrets / "cepo_client_key").write_text(f"{CLIENT_KEY}\nplanted-bearer-of-another\n")
    (secrets / "identity_prompt").symlink_to("/dev/null")
    as_files = {"SECRETS_DIR": str(secrets), "CEREBRAS_API_KEY": "", "CEPO_CLIENT_KEY": ""}
    options = SimulatorOptions(rules=MOODS)
    as_asked = {"CEPO_CEREBRAS_FIT_TOKENS": "false"}  # calls have the limits that they were asked for with
    with (
        Simulator(options) as api,
        sidecar(api.url, **as_asked) as server,
        backend(server.url, direct.url, **as_files) as example,
    ):
        yield House(example, server, api, direct)


@pytest.fixture
def house(calm: House) -> House:
    """The same, with nothing in the ledgers, and no failure counted."""
    assert calm.backend.ask("anything").headers["x-answered-by"] == "sidecar"
    calm.settle()
    calm.clear()
    return calm
