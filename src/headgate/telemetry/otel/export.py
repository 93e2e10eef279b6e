"""Spans and metrics on their way to a collector."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from headgate._version import __version__
from headgate.clock import Clock
from headgate.telemetry.metrics.catalogue import Metric
from headgate.telemetry.metrics.registry import Cell, Histogram, Pairs, Registry
from headgate.telemetry.otel.conventions import Name
from headgate.telemetry.otel.protobuf import (
    attributes,
    double,
    field,
    fixed64,
    head,
    packed_doubles,
    packed_fixed64,
    varint_field,
)  # fmt: skip
from headgate.telemetry.otel.sender import Sender

__all__ = ["MetricExport", "Source", "SpanExport", "metrics_request", "spans_request"]

CLOSING_S = 5.0
"""How long a stop waits for what is left to be taken."""
_SCOPE = field(1, field(1, b"headgate") + field(2, __version__.encode()))
_CUMULATIVE = varint_field(2, 2)
_MONOTONIC = varint_field(3, 1)


class Source(NamedTuple):
    """Series to be told."""

    registry: Registry
    attributes: Mapping[str, str | int] = {}
    """That all of them have."""
    names: Mapping[Metric, Sequence[Name]] = {}
    """Of metrics that have another name than their own, or several."""


class SpanExport:
    """Spans wait here until there are enough of them, or the first has waited long enough."""

    def __init__(
        self,
        sender: Sender,
        resource: Mapping[str, str],
        fetch: Callable[[], None],
        *,
        waiting: int,
        at_once: int,
        delay_s: float,
    ) -> None:
        """
        Args:
            fetch: have `add` called with what is not here yet.
            waiting: how many spans may.
            at_once: how many are sent together.
        """
        self._sender = sender
        self._resource = resource
        self._fetch = fetch
        self._most = max(waiting, at_once)
        self._at_once = at_once
        self._delay_s = delay_s
        self._calls: deque[tuple[bytes, int]] = deque()
        """The spans of each call, and how many they are."""
        self._waiting = 0
        self._under_way = 0
        self._enough = asyncio.Event()
        self.dropped = 0
        """Spans that nobody has taken, and nobody will."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def add(self, written: bytes, spans: int) -> None:
        """The spans of a call."""
        self._calls.append((written, spans))
        self._waiting += spans
        if self._waiting >= self._at_once:
            self._enough.set()
            while self._waiting > self._most:
                self.dropped += self._take()[1]

    async def close(self) -> None:
        """Send what is left, if that is soon done."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.dropped += self._under_way
        self._under_way = 0
        self._fetch()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                while self._calls:
                    await self._send()
        self.dropped += self._waiting + self._under_way
        self._sender.close()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._delay_s):
                    await self._enough.wait()
            self._enough.clear()
            self._fetch()
            while self._calls:
                await self._send()

    async def _send(self) -> None:
        content: list[bytes] = []
        while self._calls and self._under_way < self._at_once:
            written, spans = self._take()
            content.append(written)
            self._under_way += spans
        if not await self._sender.send(spans_request(self._resource, content)):
            self.dropped += self._under_way
        self._under_way = 0

    def _take(self) -> tuple[bytes, int]:
        """What has waited longest."""
        first = self._calls.popleft()
        self._waiting -= first[1]
        return first


class MetricExport:
    """Tells all series every so often."""

    def __init__(
        self,
        sender: Sender,
        resource: Mapping[str, str],
        clock: Clock,
        sources: Sequence[Source],
        *,
        interval_s: float,
    ) -> None:
        self._sender = sender
        self._resource = resource
        self._clock = clock
        self._sources = sources
        self._interval_s = interval_s
        self._began_ns = clock.unix_ms() * 1_000_000
        self.dropped = 0
        """Times that nobody took them."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Tell them once more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_S):
                await self._send()
        self._sender.close()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._interval_s)
            try:
                async with asyncio.timeout(self._interval_s):  # by then there are newer ones
                    taken = await self._send()
            except TimeoutError:
                taken = False
            self.dropped += not taken

    async def _send(self) -> bool:
        now_ns = self._clock.unix_ms() * 1_000_000
        return await self._sender.send(metrics_request(self._resource, self._sources, self._began_ns, now_ns))


def spans_request(resource: Mapping[str, str], spans: Sequence[bytes]) -> bytes:
    """An `ExportTraceServiceRequest`."""
    return _request(resource, spans)


def metrics_request(resource: Mapping[str, str], sources: Sequence[Source], began_ns: int, now_ns: int) -> bytes:
    """An `ExportMetricsServiceRequest`: what has been added up since `began_ns`."""
    times = fixed64(2, began_ns) + fixed64(3, now_ns)
    told: dict[str, tuple[Metric, list[bytes]]] = {}
    for source in sources:
        for metric, series in source.registry.series_of():
            for name, more in source.names.get(metric, [(metric.name, {})]):
                points = told.setdefault(name, (metric, []))[1]
                points += [field(1, times + point) for point in _points(metric, series, {**source.attributes, **more})]
    return _request(resource, [field(2, _metric(name, *its)) for name, its in told.items()])


def _request(resource: Mapping[str, str], content: Sequence[bytes]) -> bytes:
    """Both requests, and what is in them, have the same numbers for the same things.  `content` is copied once."""
    scope = head(2, len(_SCOPE) + sum([len(each) for each in content])) + _SCOPE
    whose = field(1, attributes(1, resource))
    of_all = len(whose) + len(scope) + sum([len(each) for each in content])
    return b"".join([head(1, of_all), whose, scope, *content])


def _metric(name: str, metric: Metric, points: Sequence[bytes]) -> bytes:
    what = field(1, name.encode()) + field(2, metric.help.encode()) + field(3, metric.unit.encode())
    data = b"".join(points)
    if metric.kind == "histogram":
        return what + field(9, data + _CUMULATIVE)
    if metric.kind == "counter":
        return what + field(7, data + _CUMULATIVE + _MONOTONIC)
    return what + field(5, data)


def _points(
    metric: Metric, series: Iterable[tuple[Pairs, Cell | Histogram]], told: Mapping[str, str | int]
) -> Iterator[bytes]:
    for pairs, its in series:
        labels = {**told, **{name: value for name, value in pairs if value}}
        if isinstance(its, Histogram):
            yield (
                fixed64(4, sum(its.counts))
                + double(5, its.sum)
                + packed_fixed64(6, its.counts)
                + packed_doubles(7, metric.bounds)
                + attributes(9, labels)
            )
        else:
            (value,) = its.read()
            yield double(4, value) + attributes(7, labels)
