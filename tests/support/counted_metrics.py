"""The sidecar's metrics in which everything was counted once, so that all of their labels appear."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from optillm_cerebras_cepo.core.chat import Label, Step, Usage
from optillm_cerebras_cepo.core.errors import RateLimited
from optillm_cerebras_cepo.core.events import CallDelayed, CallFinished, CallHedged
from optillm_cerebras_cepo.sidecar.request_record import Metrics


def counted_metrics() -> Metrics:
    """Return metrics of a server without requests, in which one thing of each kind was counted."""
    metrics, label = Metrics(lambda: 0), Label(Step.PLAN, 1)
    metrics.count_event(CallFinished(label, 1.0, Usage(1, 1)))
    metrics.count_event(CallHedged(label, 1.0))
    metrics.count_event(CallDelayed(label, 1.0, RateLimited("the limit is used up")))
    metrics.count_response("/v1/chat/completions", "cepo_cerebras", "medium", 200, 1.0)
    metrics.count_error("rate_limited", RateLimited.status)
    metrics.count_cost("medium", 0.01)
    metrics.count_degraded()
    return metrics


def labels_by_metric(page: str) -> dict[str, set[str]]:
    """Return the labels of each metric on a page of /metrics; none for a metric without a sample.

    The names are those of queries, such as `cepo_cerebras_call_seconds_bucket`.
    """
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(family.type, ("",))
        found |= {f"{family.name}{suffix}": set() for suffix in suffixes}
        for sample in family.samples:
            found[sample.name] |= set(sample.labels)
    return found
