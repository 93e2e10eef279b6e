"""A collector that takes OTLP over HTTP and reads it with OpenTelemetry's own classes."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["Collector", "attributes_of", "collector"]


class Collector:
    """What it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []
        """What it answers next, before it takes anything."""

    @property
    def spans(self) -> list[Span]:
        found = [span for r in self.traces for rs in r.resource_spans for ss in rs.scope_spans for span in ss.spans]
        return sorted(found, key=lambda span: (span.start_time_unix_nano, -span.kind))

    def metric(self, name: str) -> Metric:
        """As it was told last."""
        told = [m for r in self.metrics for rm in r.resource_metrics for sm in rm.scope_metrics for m in sm.metrics]
        return [metric for metric in told if metric.name == name][-1]

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        self.headers.append(headers)
        if self.statuses:
            return self.statuses.pop(0)
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if path == "/v1/traces":
            self.traces.append(ExportTraceServiceRequest.FromString(body))
        elif path == "/v1/metrics":
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
        else:
            return 404
        return 200


def attributes_of(of: Any) -> dict[str, Any]:
    """Of a span, a resource or a point; a list as a tuple."""
    told = {}
    for each in of.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        told[each.key] = tuple(v.string_value for v in value.values) if kind == "array_value" else value
    return told


@contextmanager
def collector() -> Iterator[Collector]:
    """One that runs in a thread of its own."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = found.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
