"""`cepo-cerebras serve`: from the command line to a server that listens, and from SIGTERM to its end."""

from __future__ import annotations

import gc
import ipaddress
import logging
import os
import resource
import threading
from collections.abc import Sequence

from optillm_cerebras_cepo.host.launch import Launched, launch
from optillm_cerebras_cepo.sidecar import keys, logs
from optillm_cerebras_cepo.sidecar.options import Options, options_from
from optillm_cerebras_cepo.sidecar.signals import Signals

LAST_WORDS = 3.0  # seconds for the replies to those who are ended
FILES = 4096  # that may be open at once, where the system lets us: connections of clients, and to the API
# What a request may ask for where the operator says nothing: each is a thread, and calls.
MOST = {"CEPO_CEREBRAS_MAX_BESTOFN_N": "10", "CEPO_CEREBRAS_MAX_PLANNING_M": "10"}

logger = logging.getLogger("optillm_cerebras_cepo")


def serve(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        BadConfiguration: it cannot work so; the message says what to change.

    """
    signals = Signals()
    with logs.as_json():
        _sidecar(arguments).run(signals)


def _sidecar(arguments: Sequence[str]) -> _Sidecar:
    options, others = options_from(arguments, os.environ)
    keys.read_cerebras_key(os.environ)
    client_keys = keys.client_keys(os.environ)
    for name, value in MOST.items():
        os.environ.setdefault(name, value)
    launched = launch(others, options.approaches, options.choose_by_message)
    logs.less()
    client_keys = (*client_keys, *filter(None, [launched.client_key]))
    if not client_keys and not _is_loopback(launched.host):
        logger.warning("no client key is set: whoever reaches %s may ask at your cost", launched.host)
    return _Sidecar(options, launched, client_keys)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _files() -> int:
    """How many files may be open at once; as many as wanted, where the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


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
            limits=Limits(body=int(options.max_body * 2**20), connections=min(Limits.connections, _files() // 2)),
            wants_body=entrance.wants_body,
        )

    def run(self, signals: Signals) -> None:
        """Serve until a signal, and end in good order."""
        from optillm_cerebras_cepo.sidecar.admission import stopping

        # What is there now stays: to look through all of it for garbage, again and again, would slow down requests.
        gc.freeze()
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
