"""The series that calls and attempts add to, looked up together, once for all that have the same labels."""

from __future__ import annotations

from headgate.records import AttemptRecord, CallRecord
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.catalogue import Metric
from headgate.telemetry.metrics.registry import Cell, Registry

__all__ = ["MOST_CACHED", "ByLastLabel", "LaneSeries", "ModelSeries", "TokenCells", "add_tokens", "token_cells"]

MOST_CACHED = 1024
"""Callers choose the names of models."""


class ByLastLabel(dict[str, Cell]):
    """Series that differ in their last label only.  One is made when something is first added to it."""

    __slots__ = ("_first", "_metric", "_registry")

    def __init__(self, registry: Registry, metric: Metric, *first: str) -> None:
        self._registry = registry
        self._metric = metric
        self._first = first

    def __missing__(self, last: str) -> Cell:
        cell = self._registry.counter(self._metric, *self._first, last)
        if len(self) < MOST_CACHED:
            self[last] = cell
        return cell


class LaneSeries:
    """What calls of one workflow and lane add to that were sent."""

    __slots__ = (
        "cost", "duration", "lane", "overhead", "queue_wait", "requests", "stop_reasons", "successes", "tokens",
        "workflow",
    )  # fmt: skip

    def __init__(self, registry: Registry, workflow: str, lane: str) -> None:
        self.workflow = workflow
        self.lane = lane
        self.requests = ByLastLabel(registry, catalogue.REQUESTS, workflow, lane)
        self.duration = registry.histogram(catalogue.DURATION, workflow, lane)
        self.queue_wait = registry.histogram(catalogue.QUEUE_WAIT, lane)
        self.overhead = registry.histogram(catalogue.OVERHEAD, lane)
        made = catalogue.ATTEMPTS_MADE.values
        self.successes = [registry.counter(catalogue.SUCCESS_BY_ATTEMPTS, workflow, number) for number in made]
        self.tokens = token_cells(registry, catalogue.TOKENS, workflow)
        self.stop_reasons = ByLastLabel(registry, catalogue.STOP_REASONS, workflow)
        self.cost = registry.counter(catalogue.COST, workflow)
        for rare in (catalogue.TOKEN_OUTLIERS, catalogue.UNPRICED, catalogue.COST_ESTIMATED):
            registry.counter(rare, workflow)  # there at zero, so that the first one is growth


class ModelSeries:
    """What attempts add to that asked one model and were answered by it, or by another."""

    __slots__ = ("asked", "attempts", "cost", "duration", "model", "requests", "tokens")

    def __init__(self, registry: Registry, asked: str, model: str) -> None:
        self.asked = asked
        self.model = model
        """The one that answered, or, if none did, the one that was asked."""
        self.attempts = ByLastLabel(registry, catalogue.ATTEMPTS, asked)
        self.duration = registry.histogram(catalogue.UPSTREAM_DURATION, asked)
        self.requests = ByLastLabel(registry, catalogue.REQUESTS_BY_MODEL, model)
        self.tokens = token_cells(registry, catalogue.TOKENS_BY_MODEL, model)
        self.cost = ByLastLabel(registry, catalogue.COST_BY_MODEL, model)


TokenCells = tuple[Cell, Cell, Cell, Cell, Cell]


def token_cells(registry: Registry, metric: Metric, value: str) -> TokenCells:
    input_, read, write_5m, write_1h, output = [
        registry.counter(metric, value, kind) for kind in catalogue.TOKEN_KIND.values
    ]
    return input_, read, write_5m, write_1h, output


def add_tokens(cells: TokenCells, record: CallRecord | AttemptRecord) -> int:
    """Add the tokens of all kinds; returns how many there are."""
    input_, read, write_5m, write_1h, output = cells
    input_.value += record.input_tokens
    output.value += record.output_tokens
    total = record.input_tokens + record.output_tokens
    if record.cache_read_tokens:
        read.value += record.cache_read_tokens
        total += record.cache_read_tokens
    if record.cache_write_5m_tokens:
        write_5m.value += record.cache_write_5m_tokens
        total += record.cache_write_5m_tokens
    if record.cache_write_1h_tokens:
        write_1h.value += record.cache_write_1h_tokens
        total += record.cache_write_1h_tokens
    return total
