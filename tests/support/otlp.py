"""Where exported spans arrive: a receiver of OTLP over HTTP in this process, and a real collector before it.

The collector is rotel, a program from PyPI that shares no code with OpenTelemetry's Python packages. It reads what it
is sent and passes it on, so that the receiver has what a collector has understood.
"""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from support.ports import free_port
from support.waiting import until

PATH = "/v1/traces"


class Receiver:
    """A server of OTLP over HTTP that keeps what it gets; it decodes with OpenTelemetry's own messages.

    Attributes:
        url: its address, without a path.
        requests: what it has received.
        unknown: paths of all other requests.

    """

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.unknown: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == PATH:
                    receiver.requests.append(ExportTraceServiceRequest.FromString(body))
                else:
                    receiver.unknown.append(self.path)
                reply = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def spans(self) -> list[Span]:
        """Every span."""
        return [
            span
            for request in list(self.requests)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The attributes of each resource that has sent spans."""
        found = [resource.resource for request in list(self.requests) for resource in request.resource_spans]
        return [values(resource.attributes) for resource in found]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def values(attributes: Any) -> dict[str, Any]:
    """Return attributes as a dictionary."""
    found: list[KeyValue] = list(attributes)
    return {one.key: _value(one.value) for one in found}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None


def collector_program() -> Path | None:
    """Return the collector; None where it is not installed, for it has wheels for Linux on x86_64 only."""
    found = find_spec("rotel")
    return Path(found.origin).with_name("rotel-agent") if found and found.origin else None


@contextmanager
def collector(program: Path, receiver: Receiver, folder: Path) -> Iterator[str]:
    """Run the collector before a receiver; yield its address.

    Args:
        program: `collector_program`.
        receiver: gets what the collector has understood.
        folder: for its log.

    """
    port = free_port()
    options = {
        "otlp-http-endpoint": f"127.0.0.1:{port}",
        "otlp-grpc-endpoint": f"127.0.0.1:{free_port()}",
        "exporter": "otlp",
        "otlp-exporter-protocol": "http",
        "otlp-exporter-endpoint": receiver.url,
        "pid-file": str(folder / "collector.pid"),
    }
    command = [str(program), "start", *(part for name, value in options.items() for part in (f"--{name}", value))]
    # It is linked with Python's own library.
    environ = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR") or ""}
    with (folder / "collector.log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            until(lambda: process.poll() is not None or _listens(port), lambda: (folder / "collector.log").read_text())
            assert process.poll() is None, (folder / "collector.log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
