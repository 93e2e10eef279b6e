"""A collector that takes OTLP over HTTP and reads it with OpenTelemetry's own classes."""

from __future__ import annotations

import gzip
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from support.http_receiver import Got, HttpReceiver, listening

__all__ = ["Collector", "attributes_of", "collector"]


@dataclass
class Collector(HttpReceiver):
    """What it was sent, and what it took."""

    traces: list[ExportTraceServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)

    @property
    def spans(self) -> list[Span]:
        found = [span for r in self.traces for rs in r.resource_spans for ss in rs.scope_spans for span in ss.spans]
        return sorted(found, key=lambda span: (span.start_time_unix_nano, -span.kind))

    def metric(self, name: str) -> Metric:
        """As it was told last."""
        told = [m for r in self.metrics for rm in r.resource_metrics for sm in rm.scope_metrics for m in sm.metrics]
        return [metric for metric in told if metric.name == name][-1]

    def answer(self, got: Got) -> tuple[int, dict[str, str]]:
        status, told = super().answer(got)
        if status != 200:
            return status, told
        body = gzip.decompress(got.body) if got.headers.get("content-encoding") == "gzip" else got.body
        if got.path == "/v1/traces":
            self.traces.append(ExportTraceServiceRequest.FromString(body))
        elif got.path == "/v1/metrics":
            self.metrics.append(ExportMetricsServiceRequest.FromString(body))
        else:
            return 404, told
        return status, told


def attributes_of(of: Any) -> dict[str, Any]:
    """Of a span, a resource or a point; a list as a tuple."""
    told = {}
    for each in of.attributes:
        kind = each.value.WhichOneof("value")
        value = getattr(each.value, kind)
        told[each.key] = tuple(v.string_value for v in value.values) if kind == "array_value" else value
    return told


def collector() -> AbstractContextManager[Collector]:
    return listening(Collector())
