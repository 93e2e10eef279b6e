"""`[telemetry]`: metrics and traces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["TelemetryConfig"]


@dataclass(frozen=True, kw_only=True)
class TelemetryConfig:
    """What monitors are told."""

    max_series: int = 20_000
    """Most series in `/metrics`, each bucket of a histogram counted.  What comes beyond is booked under `other`."""
    otlp_endpoint: str | None = None
    """Where an OpenTelemetry collector takes OTLP over HTTP, such as `http://127.0.0.1:4318`: traces and metrics go
    there.  Unset: where OpenTelemetry's own variables say (`OTEL_EXPORTER_OTLP_ENDPOINT`), and nowhere without them."""
    semconv: Literal["new", "legacy", "both"] = "both"
    """Whose names the GenAI attributes and metrics have: the conventions' own repository, what they were called before,
    or both.  `OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental` goes before it, and means the new ones."""
    trace_upstream: bool = False
    """Whether the API is told the trace: `traceparent` and `tracestate` on every attempt."""
