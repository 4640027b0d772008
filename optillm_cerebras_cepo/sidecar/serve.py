"""`cepo-cerebras serve`: from the command line to a server that listens, and from SIGTERM to its end."""

from __future__ import annotations

import gc
import ipaddress
import logging
import os
import threading
from collections.abc import Sequence

from optillm_cerebras_cepo.host.launch import Launched, launch
from optillm_cerebras_cepo.sidecar import files, keys, logs
from optillm_cerebras_cepo.sidecar.options import Options, options_from
from optillm_cerebras_cepo.sidecar.signals import Signals

LAST_WORDS = 3.0  # seconds for the replies to those who are ended
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
    if not launched.tls.verify:
        logger.warning("the API's certificate is not verified (--no-ssl-verify): whoever is between may read the key")
    client_keys = (*client_keys, *filter(None, [launched.client_key]))
    if not client_keys and not _is_loopback(launched.host):
        logger.warning("no client key is set: whoever reaches %s may ask at your cost", launched.host)
    return _Sidecar(options, launched, client_keys)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
        shares = files.share_out(files.raise_limit(), Limits.connections)
        self._grace = options.grace
        self._broken = False
        self._runtime = RUNTIME
        self._runtime.plan_at_once(options.max_requests)
        self._runtime.limit_connections(shares.api)
        self._admission = Admission(most)
        self._readiness = Readiness(RUNTIME, launched.base_url, launched.models, launched.tls)
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
            limits=Limits(body=int(options.max_body * 2**20), connections=shares.clients),
            wants_body=entrance.wants_body,
        )

    def run(self, signals: Signals) -> None:
        """Serve until a signal, and end in good order."""
        from optillm_cerebras_cepo.sidecar.admission import stopping

        # What is there now stays: to look through all of it for garbage, again and again, would slow down requests.
        gc.freeze()
        threading.Thread(target=self._http, args=(signals,), name="cepo-cerebras-http", daemon=True).start()
        self._readiness.watch()
        signals.wait()
        if self._broken:
            self._runtime.stop(stopping)  # or the exit would wait for the threads of requests that nobody reads
            raise SystemExit("cepo-cerebras: the HTTP server has failed; the log says where")
        self._server.refuse_connections()
        self._admission.close()
        self._readiness.stop()
        if not self._admission.wait_until_empty(self._grace):
            self._runtime.stop(stopping)
            self._admission.wait_until_empty(LAST_WORDS)
        self._server.finish(LAST_WORDS)

    def _http(self, signals: Signals) -> None:
        """Run the HTTP server. When it ends by itself, end the process: whoever supervises it starts another."""
        try:
            self._server.run()
        except BaseException as error:
            from optillm_cerebras_cepo.host.work import defect

            defect(error)
        self._broken = True
        signals.wake()
