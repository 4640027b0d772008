import pytest

from optillm_cerebras_cepo.chat import Label, Step, Usage
from optillm_cerebras_cepo.errors import ApiUnavailable, RateLimited
from optillm_cerebras_cepo.events import Called, Rated, Waits
from optillm_cerebras_cepo.sidecar.metrics import Metrics

LABEL = Label(Step.PLAN, 1)


def values(metrics: Metrics, name: str) -> dict[str, float]:
    """The samples of one name, by their labels as they stand in the text."""
    lines = metrics.page().decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if line.startswith(name) and not line.startswith("#"))
    return {key.removeprefix(name): float(value) for key, _, value in samples}


@pytest.fixture
def metrics() -> Metrics:
    """With two questions in the house."""
    return Metrics(lambda: 2)


def test_calls_by_step_and_status(metrics: Metrics) -> None:
    """A failed call counts under its status, with its time and without tokens."""
    metrics.heard(Called(LABEL, 1.5, Usage(10, 20)))
    metrics.heard(Called(LABEL, 0.5, error=ApiUnavailable("no")))
    assert values(metrics, "cepo_cerebras_calls_total") == {
        '{status="200",step="plan"}': 1.0,
        '{status="503",step="plan"}': 1.0,
    }
    assert values(metrics, "cepo_cerebras_tokens_total") == {
        '{kind="prompt",step="plan"}': 10.0,
        '{kind="completion",step="plan"}': 20.0,
    }
    assert values(metrics, "cepo_cerebras_call_seconds_sum") == {'{step="plan"}': 2.0}


def test_seconds_of_waiting(metrics: Metrics) -> None:
    """As they were told; other news count nothing."""
    metrics.heard(Waits(LABEL, 2.5, RateLimited("later")))
    metrics.heard(Rated(1, 5.0))
    assert values(metrics, "cepo_cerebras_waiting_seconds_total") == {"": 2.5}
    assert values(metrics, "cepo_cerebras_calls_total") == {}


def test_requests_by_path_approach_effort_and_status(metrics: Metrics) -> None:
    """The time of questions only: probes would drown it."""
    metrics.answered("/health", "", "", 200, 0.001)
    metrics.answered("/v1/chat/completions", "cepo_cerebras", "auto", 200, 3.0)
    assert values(metrics, "cepo_cerebras_requests_total") == {
        '{approach="",effort="",path="/health",status="200"}': 1.0,
        '{approach="cepo_cerebras",effort="auto",path="/v1/chat/completions",status="200"}': 1.0,
    }
    assert values(metrics, "cepo_cerebras_request_seconds_count") == {'{effort="auto"}': 1.0}


def test_what_is_in_the_house_and_what_the_process_takes(metrics: Metrics) -> None:
    """Memory, processor time and open files come from the client library."""
    assert values(metrics, "cepo_cerebras_requests_in_flight") == {"": 2.0}
    assert values(metrics, "process_resident_memory_bytes")[""] > 0


def test_two_of_them_do_not_share(metrics: Metrics) -> None:
    """Each has a registry of its own."""
    metrics.heard(Waits(LABEL, 1.0, RateLimited("later")))
    assert values(Metrics(lambda: 0), "cepo_cerebras_waiting_seconds_total") == {"": 0.0}
