import pytest

from optillm_cerebras_cepo.core.chat import Label, Step, Usage
from optillm_cerebras_cepo.core.errors import ApiUnavailable, RateLimited
from optillm_cerebras_cepo.core.events import CallDelayed, CallFinished, CandidateRated
from optillm_cerebras_cepo.sidecar.request_record import Metrics

LABEL = Label(Step.PLAN, 1)


def values(metrics: Metrics, name: str) -> dict[str, float]:
    """Return the samples of one metric by their labels."""
    lines = metrics.render().decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if line.startswith(name) and not line.startswith("#"))
    return {key.removeprefix(name): float(value) for key, _, value in samples}


@pytest.fixture
def metrics() -> Metrics:
    """Metrics with two requests in flight, of which one waits, of a server that is not ready."""
    return Metrics(lambda: 2, waiting=lambda: 1, ready=lambda: False)


def test_calls_by_step_and_status(metrics: Metrics) -> None:
    """A failed call counts with its status and duration, without tokens."""
    metrics.count_event(CallFinished(LABEL, 1.5, Usage(10, 20)))
    metrics.count_event(CallFinished(LABEL, 0.5, error=ApiUnavailable("no")))
    assert values(metrics, "cepo_cerebras_calls_total") == {
        '{status="200",step="plan"}': 1.0,
        '{status="503",step="plan"}': 1.0,
    }
    assert values(metrics, "cepo_cerebras_tokens_total") == {
        '{kind="prompt",step="plan"}': 10.0,
        '{kind="completion",step="plan"}': 20.0,
    }
    assert values(metrics, "cepo_cerebras_call_seconds_sum") == {'{step="plan"}': 2.0}


def test_waits_by_reason(metrics: Metrics) -> None:
    """Their number and the sum of their seconds; other events do not count."""
    metrics.count_event(CallDelayed(LABEL, 2.5, RateLimited("later")))
    metrics.count_event(CallDelayed(LABEL, 1.5, RateLimited("later")))
    metrics.count_event(CallDelayed(LABEL, 0.5, ApiUnavailable("no")))
    metrics.count_event(CandidateRated(1, 5.0))
    limited, unavailable = '{reason="rate_limited"}', '{reason="api_unavailable"}'
    assert values(metrics, "cepo_cerebras_waits_total") == {limited: 2.0, unavailable: 1.0}
    assert values(metrics, "cepo_cerebras_waiting_seconds_total") == {limited: 4.0, unavailable: 0.5}
    assert values(metrics, "cepo_cerebras_calls_total") == {}


def test_requests_by_path_approach_effort_and_status(metrics: Metrics) -> None:
    """The duration is measured for chat requests only."""
    metrics.count_response("/health", "", "", 200, 0.001)
    metrics.count_response("/v1/chat/completions", "cepo_cerebras", "auto", 200, 3.0)
    assert values(metrics, "cepo_cerebras_requests_total") == {
        '{approach="",effort="",path="/health",status="200"}': 1.0,
        '{approach="cepo_cerebras",effort="auto",path="/v1/chat/completions",status="200"}': 1.0,
    }
    assert values(metrics, "cepo_cerebras_request_seconds_count") == {'{effort="auto"}': 1.0}


def test_dollars_by_effort(metrics: Metrics) -> None:
    """They add up."""
    for dollars in (0.25, 0.5):
        metrics.count_cost("auto", dollars)
    assert values(metrics, "cepo_cerebras_cost_dollars_total") == {'{effort="auto"}': 0.75}


def test_errors_by_code_and_status(metrics: Metrics) -> None:
    """The code says more than the status, and streams have status 200 whatever happens to them."""
    metrics.count_error("server_full", 503)
    metrics.count_error("api_unavailable", 503)
    assert values(metrics, "cepo_cerebras_errors_total") == {
        '{code="server_full",status="503"}': 1.0,
        '{code="api_unavailable",status="503"}': 1.0,
    }


def test_state_and_process_metrics(metrics: Metrics) -> None:
    """Memory, CPU time and open files come from the client library."""
    assert values(metrics, "cepo_cerebras_requests_in_flight") == {"": 2.0}
    assert values(metrics, "cepo_cerebras_requests_waiting") == {"": 1.0}
    assert values(metrics, "cepo_cerebras_ready") == {"": 0.0}
    assert values(metrics, "process_resident_memory_bytes")[""] > 0


def test_two_instances_are_independent(metrics: Metrics) -> None:
    """Each has its own registry."""
    metrics.count_event(CallDelayed(LABEL, 1.0, RateLimited("later")))
    assert values(metrics, "cepo_cerebras_waits_total") != {}
    assert values(Metrics(lambda: 0), "cepo_cerebras_waits_total") == {}
