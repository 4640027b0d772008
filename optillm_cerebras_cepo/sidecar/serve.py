"""Life of the sidecar: configuration, start, and an orderly stop after SIGTERM."""

from __future__ import annotations

import gc
import ipaddress
import logging
import os
import threading
from collections.abc import Sequence

from optillm_cerebras_cepo.host.bootstrap import Launched, launch
from optillm_cerebras_cepo.sidecar.errors import shutting_down
from optillm_cerebras_cepo.sidecar.key_sources import CLIENT_KEY, load_cerebras_key, take_client_keys
from optillm_cerebras_cepo.sidecar.logs import json_logging, quiet_libraries
from optillm_cerebras_cepo.sidecar.options import FLAGS, Options, flag_name, options_from
from optillm_cerebras_cepo.sidecar.process import StopSignal, divide_files, raise_file_limit
from optillm_cerebras_cepo.sidecar.request_slots import RequestSlots

FINAL_SECONDS = 3.0  # for the error responses to requests that did not finish in the grace time
# Upper limits of what a request may set, unless the operator sets others: each is a thread and several calls.
DEFAULT_CAPS = {"CEPO_CEREBRAS_MAX_BESTOFN_N": "10", "CEPO_CEREBRAS_MAX_PLANNING_M": "10"}

logger = logging.getLogger("optillm_cerebras_cepo")


def serve(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        BadConfiguration: the sidecar cannot run; the message says what to change.

    """
    stop_signal = StopSignal()
    with json_logging():
        options, others = options_from(arguments, os.environ)
        load_cerebras_key(os.environ)
        keys = take_client_keys(os.environ)
        for name, value in DEFAULT_CAPS.items():
            os.environ.setdefault(name, value)
        launched = launch(others, options.approaches, options.choose_by_message, [flag_name(name) for name in FLAGS])
        quiet_libraries()
        if not launched.tls.verify:
            logger.warning(
                "The API's TLS certificate is not verified (--no-ssl-verify): the API key may be intercepted."
            )
        keys = (*keys, *filter(None, [launched.client_key]))
        if not keys and not _is_loopback(launched.host):
            logger.warning(
                "No client key is set: anyone who can reach this port can spend your tokens. Set %s.", CLIENT_KEY
            )
        _Sidecar(options, launched, keys, stop_signal).run()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _description(launched: Launched, port: int, approaches: Sequence[str], keys: int) -> str:
    """Return the first line of the log. A base URL has no credentials: `launch` refuses one that has."""
    host = f"[{launched.host}]" if ":" in launched.host else launched.host
    client_keys = f"{keys} client key{'s' * (keys > 1)}" if keys else "no client key"
    return (
        f"Listening at http://{host}:{port}: model {', '.join(launched.models)}; approaches {', '.join(approaches)}; "
        f"{client_keys}; API {launched.base_url}."
    )


class _Sidecar:
    def __init__(self, options: Options, launched: Launched, keys: Sequence[str], stop_signal: StopSignal) -> None:
        # These import OptiLLM, whose import `launch` has to prepare.
        from optillm_cerebras_cepo.runtime import RUNTIME
        from optillm_cerebras_cepo.sidecar.app import SidecarApp
        from optillm_cerebras_cepo.sidecar.client_keys import ClientKeys
        from optillm_cerebras_cepo.sidecar.metrics import Metrics
        from optillm_cerebras_cepo.sidecar.readiness import Readiness
        from optillm_cerebras_cepo.sidecar.server import EXTRA_THREADS, Server, ServerLimits

        slot_count = options.max_requests + options.max_queue
        client_connections, api_connections = divide_files(raise_file_limit(), ServerLimits.connections)
        self._grace = options.grace
        self._stop_signal = stop_signal
        self._failed = False
        self._runtime = RUNTIME
        self._runtime.limit_planned_requests(options.max_requests)
        self._runtime.limit_connections(api_connections)
        self._runtime.shared.limiters.connect(launched.redis_url)
        self._slots = slots = RequestSlots(slot_count)
        self._readiness = Readiness(RUNTIME, launched.base_url, launched.models, launched.tls)
        app = SidecarApp(
            launched.application,
            keys=ClientKeys(keys),
            slots=slots,
            metrics=Metrics(lambda: slots.in_use),
            readiness=self._readiness,
            wanted=launched.models,
            approaches=options.approaches,
        )
        self._server = Server(
            app,
            launched.host,
            launched.port,
            threads=slot_count + EXTRA_THREADS,
            limits=ServerLimits(body=int(options.max_body * 2**20), connections=client_connections),
            wants_body=app.wants_body,
        )
        self._description = _description(launched, self._server.effective_port, options.approaches, len(keys))

    def run(self) -> None:
        """Serve until the stop signal, then finish the running requests."""
        # Exclude everything loaded so far from garbage collection: each full collection would delay requests.
        gc.freeze()
        threading.Thread(target=self._run_server, name="cepo-cerebras-http", daemon=True).start()
        logger.info(self._description)
        self._readiness.start()
        self._stop_signal.wait()
        if self._failed:
            self._runtime.stop(shutting_down)  # otherwise the exit would wait for the threads of open requests
            raise SystemExit("cepo-cerebras: The HTTP server has failed; see the log.")
        self._server.stop_listening()
        self._slots.close()
        self._readiness.stop()
        if not self._slots.wait_until_free(self._grace):
            self._runtime.stop(shutting_down)
            self._slots.wait_until_free(FINAL_SECONDS)
        self._server.finish(FINAL_SECONDS)

    def _run_server(self) -> None:
        """Run the HTTP server. If it ends by itself, end the process, so that its supervisor restarts it."""
        try:
            self._server.run()
        except BaseException as error:
            from optillm_cerebras_cepo.host.execution import defect

            defect(error)
        self._failed = True
        self._stop_signal.send()
