"""Gives each call its place in a trace, and tells of it when it is over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from headgate.call import Call, Kind
from headgate.clock import Clock
from headgate.core.trace_context import TraceContext
from headgate.net.client import Dial
from headgate.records import AttemptRecord, CallRecord
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.registry import Registry
from headgate.telemetry.otel import conventions as names
from headgate.telemetry.otel.export import MetricExport, Source, SpanExport
from headgate.telemetry.otel.gen_ai_metrics import GenAiMetrics
from headgate.telemetry.otel.sender import Sender
from headgate.telemetry.otel.settings import OtelSettings, Target
from headgate.telemetry.otel.spans import Finished, SpanWriter

__all__ = ["OpenTelemetry"]

IN_A_ROW = 32
"""Calls that are written down together."""


class OpenTelemetry:
    """Lives on the engine's loop.

    Args:
        registry: Headgate's own metrics, which go along.
        server: host and port of the API.
        models: that labels may name.
        asked: the model that an attempt asked.
        dial: how a collector is reached; with the certificates to trust for it.
    """

    def __init__(
        self,
        settings: OtelSettings,
        registry: Registry,
        clock: Clock,
        rng: Random,
        dial: Callable[[str | None], Dial],
        *,
        server: tuple[str, int],
        models: Sequence[str],
        asked: Callable[[CallRecord, AttemptRecord], str],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._kept = round(settings.root_share * 2**64)
        self._writer = SpanWriter(settings.semconv, server, asked)
        self._over: list[Finished] = []
        self._gen_ai: GenAiMetrics | None = None
        self._spans: SpanExport | None = None
        self._metrics: MetricExport | None = None

        def sender(what: str, target: Target) -> Sender:
            return Sender(what, target, dial(target.ca_file), clock, rng)

        if settings.traces is not None:
            self._spans = SpanExport(
                sender("traces", settings.traces),
                settings.resource,
                self._tell,
                waiting=settings.spans_waiting,
                at_once=settings.spans_at_once,
                delay_s=settings.span_delay_s,
            )
        if settings.metrics is not None:
            self._gen_ai = GenAiMetrics(models, asked)
            self._gen_ai.registry.on_read(self._tell)
            told: dict[str, str | int] = {names.OPERATION: names.CHAT, names.SERVER_ADDRESS: server[0]}
            told |= {names.SERVER_PORT: server[1]}
            told |= dict.fromkeys(names.PROVIDERS[settings.semconv], names.ANTHROPIC)
            self._metrics = MetricExport(
                sender("metrics", settings.metrics),
                settings.resource,
                clock,
                [Source(registry), Source(self._gen_ai.registry, told, names.METRIC_NAMES[settings.semconv])],
                interval_s=settings.metric_interval_s,
            )
        self._registry = registry
        registry.on_read(self._tell_dropped)

    def begin(self, call: Call) -> None:
        """A call begins: it has a span from now on, in its caller's trace or in one of its own."""
        trace = call.trace
        if trace is None:
            trace_id = self._rng.getrandbits(128) or 1
            kept = trace_id & 0xFFFF_FFFF_FFFF_FFFF < self._kept
            trace = call.trace = TraceContext(f"{trace_id:032x}", sampled=kept)
            call.record.trace_id = trace.trace_id
        elif not self._settings.follow_parent:
            trace.sampled = int(trace.trace_id[16:], 16) < self._kept
        trace.span_id = self._rng.getrandbits(64) or 1

    def over(self, call: Call) -> None:
        """A call is over, and its record complete."""
        trace = call.trace
        assert trace is not None
        self._over.append(Finished(call.record, call.attempts, trace, call.arrived_s, self._clock.now_s()))
        if len(self._over) >= IN_A_ROW:
            self._tell()

    def _tell(self) -> None:
        """Write down those that are over: some in a row, for that takes a third of the time."""
        over, self._over = self._over, []
        for call in over:
            if self._spans is not None and call.trace.sampled:
                self._spans.add(self._writer.write(call), 1 + len(call.attempts))
            if self._gen_ai is not None and call.record.kind == Kind.MESSAGES:
                self._gen_ai.add(call)

    async def close(self) -> None:
        """Send what is left."""
        for export in (self._spans, self._metrics):
            if export is not None:
                await export.close()

    def _tell_dropped(self) -> None:
        for signal, export in (("spans", self._spans), ("metrics", self._metrics)):
            if export is not None:
                self._registry.counter(catalogue.TELEMETRY_DROPPED, signal).value = export.dropped
