"""Defects of what OptiLLM's CePO sends to a model, and of what becomes of a call that fails."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import optillm.server as server
import yaml
from conftest import KEY
from optillm.cepo.cepo import cepo
from support.defects import defect
from upstream.conftest import AskCepo, Cepo, Simulate, configured

from optillm_cerebras_cepo.simulator import FAULTS, Fault, Reply, Rule

# docs/upstream/01-errors


CALLS = 4  # of one candidate with one plan: plan, execution, review, final answer
STEPS = Rule(text=("A plan.", "A solution.", "A review.", "An answer."))
FAULTY: tuple[Fault, ...] = ("request_quota", "queue_exceeded", "500", "502", "503", "close", "reset")
REFUSED = Reply(400, {"message": "?", "type": "invalid_request_error", "param": "?", "code": "wrong_api_format"})


@defect
def test_no_error_of_cerebras_is_caught(simulate: Simulate, run_cepo: Cepo) -> None:
    """A call that fails once is made again, and one that fails for good does not take the others along."""
    assert {*FAULTY} <= {*FAULTS}
    for broken in (*(Rule(times=1, fault=fault) for fault in FAULTY), Rule(times=1, reply=REFUSED)):
        api = simulate(rules=(broken, STEPS))
        assert run_cepo(api, bestofn_rating_type="majority", num_of_retries=1)[0] == "An answer."
        assert len(api.chat_calls) == 1 + CALLS

    # The prompt of the final answer holds the review.
    api = simulate(rules=(Rule("A review", fault="500"), STEPS))
    assert run_cepo(api, bestofn_rating_type="majority")[0] == "A review."
    assert len(api.chat_calls) == CALLS

    # A model that takes no reasoning effort says so once, and is asked the same again.
    api = simulate(rules=(STEPS,))
    assert run_cepo(api, bestofn_rating_type="majority", use_reasoning=True)[0] == "An answer."
    assert [call.status for call in api.chat_calls] == [400] + CALLS * [200]


# docs/upstream/03-steps


TOKENS = (1001, 1002, 1003, 1004)
TEMPERATURES = (0.1, 0.2, 0.3, 0.4)


@defect
def test_steps_take_the_numbers_of_the_first(simulate: Simulate, run_cepo: Cepo) -> None:
    """Each of the four steps asks with its own token limit and its own temperature."""
    limits = {f"planning_max_tokens_step{step}": tokens for step, tokens in enumerate(TOKENS, 1)}
    heat = {f"planning_temperature_step{step}": temperature for step, temperature in enumerate(TEMPERATURES, 1)}
    api = simulate()
    run_cepo(api, bestofn_rating_type="majority", **limits, **heat)
    asked = [(call.body["max_tokens"], call.body["temperature"]) for call in api.chat_calls]
    assert asked == [*zip(TOKENS, TEMPERATURES, strict=True)]


# docs/upstream/06-reasoning-flag


REASONING_MODEL = "gpt-oss-120b"  # it takes a reasoning effort


def refusing(create: Callable[..., Any]) -> Any:
    """A client whose first call is refused for its effort, in the words that OptiLLM knows: those of older SDKs."""
    body = {"error": {"message": 'think value "high" is not supported for this model'}}
    response: Any = httpx.Response(400, request=httpx.Request("POST", "http://127.0.0.1"))
    refusals = [openai.BadRequestError(f"Error code: 400 - {body}", response=response, body=body)]

    def first_refused(**call: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return create(**call)

    return SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=first_refused)))


@defect
def test_a_request_changes_the_configuration_of_all(simulate: Simulate) -> None:
    """After a request whose first call is refused for its reasoning effort, the next one still sends it."""
    api = simulate()
    client = openai.OpenAI(api_key=KEY, base_url=f"{api.url}/v1", max_retries=0)
    shared = configured(use_reasoning=True, bestofn_rating_type="majority")
    cepo("", "Why?", refusing(client.chat.completions.create), REASONING_MODEL, shared)
    assert "reasoning_effort" not in api.chat_calls[0].body
    api.clear()
    cepo("", "Why?", client, REASONING_MODEL, shared)
    assert {call.body.get("reasoning_effort") for call in api.chat_calls} == {"high"}


# docs/upstream/16-parameters


GIVEN = {"temperature": 1.5, "top_p": 0.25, "stop": ["END"], "seed": 7, "response_format": {"type": "json_object"}}


@defect
def test_parameters_are_ignored(simulate: Simulate, ask_cepo: AskCepo) -> None:
    """The one call that writes the answer has them, and no other has."""
    api = simulate()
    question = [{"role": "user", "content": "Why? Answer in JSON."}]
    assert ask_cepo(api, bestofn_rating_type="majority")(messages=question, **GIVEN).status_code == 200
    calls = [call.body for call in api.chat_calls]
    assert [{name: call.get(name) for name in GIVEN} == GIVEN for call in calls] == [False, False, False, True]


# docs/upstream/17-cerebras


@defect
def test_reasoning_effort_goes_to_models_that_refuse_it(simulate: Simulate, run_cepo: Cepo) -> None:
    """With the packaged configuration a model that takes no reasoning effort is never sent one."""
    with open(server.get_config_path(), encoding="utf-8") as file:
        packaged = yaml.safe_load(file)["use_reasoning"]
    api = simulate()
    run_cepo(api, use_reasoning=packaged)
    assert {call.status for call in api.chat_calls} == {200}
    assert not [call for call in api.chat_calls if "reasoning_effort" in call.body]


@defect
def test_every_prompt_ends_with_a_switch_of_some_models(simulate: Simulate, run_cepo: Cepo) -> None:
    """None does that goes to a model which does not read it."""
    api = simulate()
    run_cepo(api)
    prompts = [message["content"] for call in api.chat_calls for message in call.body["messages"]]
    assert prompts
    assert not [prompt for prompt in prompts if prompt.endswith("/think")]
