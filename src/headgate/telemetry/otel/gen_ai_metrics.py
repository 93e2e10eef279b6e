"""The metrics of the GenAI conventions: one request to the API is one operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from headgate.records import AttemptRecord, CallRecord
from headgate.telemetry.metrics.registry import Cell, Histogram, Registry
from headgate.telemetry.otel.conventions import MEASURES, REQUEST_MODEL, RESPONSE_MODEL, Measures, Semconv
from headgate.telemetry.otel.spans import Finished, first_chunk_of

__all__ = ["GenAiMetrics"]

MOST_CACHED = 1024


class GenAiMetrics:
    """Adds every request to `registry`, which is its own."""

    def __init__(
        self, semconv: Semconv, models: Iterable[str], asked: Callable[[CallRecord, AttemptRecord], str]
    ) -> None:
        """`asked`: the model that an attempt asked."""
        known = [*models, ""]
        self._measures = MEASURES[semconv]
        self.registry = Registry({REQUEST_MODEL: known, RESPONSE_MODEL: known}, metrics=self._measures.all)
        self._asked = asked
        self._series: dict[tuple[str, str | None, str | None], _Series] = {}

    def add(self, call: Finished) -> None:
        """A call is over: add its requests."""
        for attempt in call.attempts:
            if attempt.sent_s is not None:
                duration_s = (attempt.ended_s or call.ended_s) - attempt.sent_s
                first_chunk_s = first_chunk_of(attempt) if call.record.stream else None
                self._add(self._asked(call.record, attempt.record), attempt.record, duration_s, first_chunk_s)

    def _add(self, asked: str, attempt: AttemptRecord, duration_s: float, first_chunk_s: float | None) -> None:
        key = (asked, attempt.model_answered, attempt.error)
        series = self._series.get(key)
        if series is None:
            series = _Series(self.registry, self._measures, asked, attempt.model_answered or "", attempt.error or "")
            if len(self._series) < MOST_CACHED:
                self._series[key] = series
        for duration in series.durations:
            duration.add(duration_s if duration_s > 0.0 else 0.0)
        if first_chunk_s is not None:
            for first_chunk in series.first_chunks:
                first_chunk.add(first_chunk_s)
        written = attempt.cache_write_5m_tokens + attempt.cache_write_1h_tokens
        prompt = attempt.input_tokens + attempt.cache_read_tokens + written
        told = (prompt, attempt.output_tokens, attempt.cache_read_tokens, written, attempt.thinking_tokens)
        for used, tokens in zip(series.used, told, strict=False):
            used.value += tokens
        for inputs, outputs in series.spreads:
            inputs.add(prompt)
            outputs.add(attempt.output_tokens)


class _Series:
    """What requests add that asked one model and ended alike."""

    __slots__ = ("durations", "first_chunks", "spreads", "used")

    def __init__(self, registry: Registry, measures: Measures, asked: str, answered: str, error: str) -> None:
        self.durations = [registry.histogram(each, asked, answered, error) for each in measures.durations]
        self.first_chunks = [registry.histogram(each, asked, answered, error) for each in measures.first_chunks]
        self.used: list[Cell] = [registry.counter(each, asked, answered, "unknown") for each in measures.used]
        self.spreads: list[tuple[Histogram, Histogram]] = [
            (registry.histogram(inputs, asked, answered), registry.histogram(outputs, asked, answered))
            for inputs, outputs in measures.spreads
        ]
        self.spreads += [
            (registry.histogram(each, asked, answered, "input"), registry.histogram(each, asked, answered, "output"))
            for each in measures.typed
        ]
