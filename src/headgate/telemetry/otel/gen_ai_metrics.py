"""The metrics of the GenAI conventions: one request to the API is one operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from headgate.records import AttemptRecord, CallRecord
from headgate.telemetry.metrics.registry import Registry
from headgate.telemetry.otel import conventions
from headgate.telemetry.otel.spans import Finished, first_chunk_of

__all__ = ["GenAiMetrics"]

MOST_CACHED = 1024


class GenAiMetrics:
    """Adds every request to `registry`, which is its own."""

    def __init__(self, models: Iterable[str], asked: Callable[[CallRecord, AttemptRecord], str]) -> None:
        """`asked`: the model that an attempt asked."""
        known = [*models, ""]
        self.registry = Registry(
            {conventions.REQUEST_MODEL: known, conventions.RESPONSE_MODEL: known}, metrics=conventions.MEASURED
        )
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
            series = _Series(self.registry, asked, attempt.model_answered or "", attempt.error or "")
            if len(self._series) < MOST_CACHED:
                self._series[key] = series
        series.duration.add(duration_s if duration_s > 0.0 else 0.0)
        if first_chunk_s is not None:
            series.first_chunk.add(first_chunk_s)
        read, written = attempt.cache_read_tokens, attempt.cache_write_5m_tokens + attempt.cache_write_1h_tokens
        prompt = attempt.input_tokens + read + written
        series.inputs.add(prompt)
        series.outputs.add(attempt.output_tokens)
        series.input.value += prompt
        series.output.value += attempt.output_tokens
        if read:
            series.read.value += read
        if written:
            series.written.value += written
        if attempt.thinking_tokens:
            series.reasoning.value += attempt.thinking_tokens


class _Series:
    """What requests add to that asked one model and ended alike."""

    __slots__ = ("duration", "first_chunk", "input", "inputs", "output", "outputs", "read", "reasoning", "written")

    def __init__(self, registry: Registry, asked: str, answered: str, error: str) -> None:
        self.duration = registry.histogram(conventions.DURATION, asked, answered, error)
        self.first_chunk = registry.histogram(conventions.FIRST_CHUNK, asked, answered, error)
        self.inputs = registry.histogram(conventions.INPUT_SPREAD, asked, answered)
        self.outputs = registry.histogram(conventions.OUTPUT_SPREAD, asked, answered)
        self.input = registry.counter(conventions.INPUT_USED, asked, answered)
        self.output = registry.counter(conventions.OUTPUT_USED, asked, answered)
        self.read = registry.counter(conventions.READ_USED, asked, answered)
        self.written = registry.counter(conventions.WRITE_USED, asked, answered)
        self.reasoning = registry.counter(conventions.REASONING_USED, asked, answered)
