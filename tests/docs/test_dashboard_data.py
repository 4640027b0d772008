"""Every panel of docs/grafana.json shows data of a real Prometheus that scrapes a real sidecar."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.dashboard import panels
from support.optillm_process import Server
from support.prometheus import Prometheus, prometheus
from support.sidecar_process import sidecar
from support.waiting import until

from optillm_cerebras_cepo.llm.hedging import KNOWN
from optillm_cerebras_cepo.simulator import problems
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.server import Simulator

CLIENT_KEY = "a-key-of-the-clients"
RULES = (
    Rule(pattern="later", times=1, reply=problems.queue_exceeded()),  # is repeated
    Rule(pattern="held", times=1, held=True),  # gets a second call
)
QUERIES = [query for panel in panels() for query in panel.queries]


def ask(server: Server, text: str, **more: Any) -> int:
    """Send a chat request; return its status."""
    body = {"model": "any", "messages": [{"role": "user", "content": text}], **more}
    status: int = server.ask(body, CLIENT_KEY).status_code
    return status


def without_data(source: Prometheus) -> list[str]:
    """Return the queries without a series."""
    return [query.text for query in QUERIES if not source.now(query.with_values("1h", "1h"))]


def test_every_query_returns_data(simulate: Callable[..., Simulator], tmp_path: Path) -> None:
    """After a planned answer, a direct one, a repeated call, a second call for a late one, and a failed request."""
    api = simulate(rules=RULES)
    environ = {
        "CEREBRAS_API_KEY": "csk-0123456789abcdef",
        "CEREBRAS_BASE_URL": api.url,
        "CEPO_CEREBRAS_CLIENT_KEY": CLIENT_KEY,
        "CEPO_CEREBRAS_HEDGED_CALLS": "true",
        "CEPO_CEREBRAS_RPM": "1000000",
    }
    (tmp_path / "key").write_text(CLIENT_KEY)
    with sidecar(environ=environ) as server:
        job = {
            "job_name": "cepo-cerebras",
            "authorization": {"credentials_file": str(tmp_path / "key")},
            "static_configs": [{"targets": [server.url.removeprefix("http://")]}],
        }
        with prometheus({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}) as source:
            for number in range(KNOWN):
                assert ask(server, f"question {number}", cepo_cerebras_effort="none") == 200
            assert ask(server, "this one is held", cepo_cerebras_effort="none") == 200
            assert ask(server, "this one comes later", cepo_cerebras_effort="none") == 200
            assert ask(server, "this one is invalid", temperature="hot") == 400
            assert ask(server, "a plan", cepo_cerebras_effort="low") == 200
            until(lambda: not without_data(source), lambda: without_data(source))
