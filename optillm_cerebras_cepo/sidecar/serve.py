"""Life of the sidecar: configuration, start, and an orderly stop after SIGTERM."""

from __future__ import annotations

import gc
import ipaddress
import logging
import os
import resource
import select
import signal
import socket
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from types import FrameType
from typing import TYPE_CHECKING

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.host.bootstrap import Launched, launch
from optillm_cerebras_cepo.sidecar.errors import shutting_down
from optillm_cerebras_cepo.sidecar.logs import json_logging, quiet_libraries
from optillm_cerebras_cepo.sidecar.options import (
    CLIENT_KEY,
    FLAGS,
    Options,
    check_client_key,
    flag_name,
    load_cerebras_key,
    options_from,
    take_client_keys,
)

if TYPE_CHECKING:
    from optillm_cerebras_cepo.sidecar.page import Page

WANTED_FILES = 4096
OWN_FILES = 64  # listening sockets, logs, the algebra worker, Redis, DNS: about 10 when idle
MAX_API_CONNECTIONS = 100  # the SDK's own limit
MIN_CONNECTIONS = 16  # of clients, and of the API
FINAL_SECONDS = 3.0  # for the error responses to requests that did not finish in the grace time

# Upper limits of what a request may set, unless the operator sets others: each is a thread and several calls.
DEFAULT_CAPS = {"CEPO_CEREBRAS_MAX_BESTOFN_N": "10", "CEPO_CEREBRAS_MAX_PLANNING_M": "10"}
PAGE_PACKAGES = {"markdown-it-py": "markdown_it", "nh3": "nh3", "latex2mathml": "latex2mathml"}  # extra `page`
logger = logging.getLogger("optillm_cerebras_cepo")


class StopSignal:
    """SIGTERM and SIGINT, from the creation of this object on. The second one raises KeyboardInterrupt.

    The kernel may deliver a signal to any thread, but Python runs the handler in the main thread, as soon as that wakes
    up. A lock or an event does not wake it then; the socket does, to which Python writes on every signal.
    """

    def __init__(self) -> None:
        self._received = False
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # Without a handler, process 1 of a container ignores SIGTERM.
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)

    def wait(self) -> None:
        """Block until the first signal or `send`."""
        while not self._received:
            select.select([self._reader], [], [])
            self._reader.recv(64)

    def send(self) -> None:
        """End `wait`, as a signal does. Thread-safe."""
        self._received = True
        self._writer.send(b"\0")

    def _handle(self, _: int, __: FrameType | None) -> None:
        if self._received:
            raise KeyboardInterrupt
        self._received = True


def raise_file_limit() -> int:
    """Raise this process's limit of open files to WANTED_FILES, as far as the system allows. Return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= highest:
        return WANTED_FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    return highest


def divide_files(files: int, clients: int) -> tuple[int, int]:
    """Return how many connections of clients (at most `clients`) and of the API may be open with so many files.

    Raise BadConfiguration if there are not enough files.
    """
    left = files - OWN_FILES
    if left < 2 * MIN_CONNECTIONS:
        needed = OWN_FILES + 2 * MIN_CONNECTIONS
        raise BadConfiguration(
            f"The limit of open files is {files}, at least {needed} are needed; raise it (ulimit -n)."
        )
    api = min(MAX_API_CONNECTIONS, left // 2)
    return min(clients, left - api), api


def check_page_packages() -> None:
    """Raise BadConfiguration if a package that the page needs is not installed."""
    if missing := [package for package, module in PAGE_PACKAGES.items() if not find_spec(module)]:
        raise BadConfiguration(f"{flag_name('page')} needs packages that are missing: pip install {' '.join(missing)}")


def serve(arguments: Sequence[str]) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises:
        BadConfiguration: the sidecar cannot run; the message says what to change.

    """
    stop_signal = StopSignal()
    with json_logging():
        options, others = options_from(arguments, os.environ)
        if options.page:
            check_page_packages()
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
        if launched.client_key:
            check_client_key(launched.client_key, "--optillm-api-key")
            keys = (*keys, launched.client_key)
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


def _page(options: Options) -> Page:
    from optillm_cerebras_cepo.sidecar.page import Page  # imports packages that the sidecar needs for nothing else
    from optillm_cerebras_cepo.trace.folder import TraceFolder
    from optillm_cerebras_cepo.trace.store import MemoryTraces

    return Page(TraceFolder(options.trace_dir) if options.trace_dir else MemoryTraces())


class _Sidecar:
    def __init__(self, options: Options, launched: Launched, keys: Sequence[str], stop_signal: StopSignal) -> None:
        # These import OptiLLM, whose import `launch` has to prepare.
        from optillm_cerebras_cepo.runtime import RUNTIME
        from optillm_cerebras_cepo.sidecar.admission import ClientKeys, RequestSlots
        from optillm_cerebras_cepo.sidecar.app import SidecarApp
        from optillm_cerebras_cepo.sidecar.readiness import Readiness
        from optillm_cerebras_cepo.sidecar.request_record import Metrics
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
        self._readiness = readiness = Readiness(RUNTIME, launched.base_url, launched.models, launched.tls)
        app = SidecarApp(
            launched.application,
            keys=ClientKeys(keys),
            slots=slots,
            metrics=Metrics(
                lambda: slots.in_use,
                waiting=lambda: RUNTIME.shared.planning.waiting,
                ready=lambda: readiness.state.model is not None and not slots.closed,
            ),
            readiness=self._readiness,
            wanted=launched.models,
            approaches=options.approaches,
            page=_page(options) if options.page else None,
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
