"""`cepo-cerebras serve`: from the command line to a server that listens, and from SIGTERM to its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from optillm_cerebras_cepo.host.launch import Launched, launch
from optillm_cerebras_cepo.sidecar import keys, logs
from optillm_cerebras_cepo.sidecar.options import Options, options_from
from optillm_cerebras_cepo.sidecar.signals import Signals

LAST_WORDS = 3.0  # seconds for the replies to those who are ended


def serve(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        BadConfiguration: it cannot work so; the message says what to change.

    """
    signals = Signals()
    logs.to_json()
    options, others = options_from(arguments, os.environ)
    keys.read_cerebras_key(os.environ)
    client_keys = keys.client_keys(os.environ)
    launched = launch(others, options.approaches, options.choose_by_message)
    logs.less()
    _Sidecar(options, launched, (*client_keys, *filter(None, [launched.client_key]))).run(signals)


class _Sidecar:
    def __init__(self, options: Options, launched: Launched, client_keys: Sequence[str]) -> None:
        # Here, and not above: these import OptiLLM, and `launch` says first what of it.
        from optillm_cerebras_cepo.runtime import RUNTIME
        from optillm_cerebras_cepo.sidecar.admission import Admission
        from optillm_cerebras_cepo.sidecar.entrance import Entrance
        from optillm_cerebras_cepo.sidecar.metrics import Metrics
        from optillm_cerebras_cepo.sidecar.readiness import Readiness
        from optillm_cerebras_cepo.sidecar.server import SPARE, Limits, Server

        most = options.max_requests + options.max_queue
        self._grace = options.grace
        self._runtime = RUNTIME
        self._runtime.plan_at_once(options.max_requests)
        self._admission = Admission(most)
        self._readiness = Readiness(RUNTIME, launched.base_url, launched.models)
        entrance = Entrance(
            launched.application,
            keys=keys.ClientKeys(client_keys),
            admission=self._admission,
            metrics=Metrics(lambda: self._admission.in_flight),
            readiness=self._readiness,
            wanted=launched.models,
            approaches=options.approaches,
        )
        self._server = Server(
            entrance,
            launched.host,
            launched.port,
            threads=most + SPARE,
            limits=Limits(body=int(options.max_body * 2**20)),
            wants_body=entrance.wants_body,
        )

    def run(self, signals: Signals) -> None:
        """Serve until a signal, and end in good order."""
        from optillm_cerebras_cepo.sidecar.admission import stopping

        threading.Thread(target=self._server.run, name="cepo-cerebras-http", daemon=True).start()
        self._readiness.watch()
        signals.wait()
        self._server.refuse_connections()
        self._admission.close()
        self._readiness.stop()
        if not self._admission.wait_until_empty(self._grace):
            self._runtime.stop(stopping)
            self._admission.wait_until_empty(LAST_WORDS)
        self._server.finish(LAST_WORDS)
