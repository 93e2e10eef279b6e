"""The numbers behind the metrics: bounded whatever comes, a fraction of a microsecond to write, cheap to read.

Whoever counts keeps the cell or the histogram that it was given and adds to it; to ask again for the same labels is one
look into a dict.  Used on one event loop.
"""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from itertools import accumulate
from math import inf
from typing import Generic, NamedTuple, TypeVar

from headgate.core.printable import printable
from headgate.telemetry.metrics.catalogue import METRICS, OTHER, SERIES_DROPPED, Label, Metric
from headgate.telemetry.metrics.exemplars import Exemplars

__all__ = ["CONTENT_TYPE", "Cell", "Histogram", "Registry", "Sample"]

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
MAX_SERIES = 20_000
MOST_CHARS = 128
"""Of a label's value."""

Values = tuple[str, ...]
"""Of a metric's labels, in their order."""
Pairs = tuple[tuple[str, str], ...]
"""Labels with their values."""
Sample = tuple[str, Pairs, float]
"""What one line of the exposition says: a histogram is several."""


class _Line(NamedTuple):
    name: str
    pairs: Pairs
    text: str
    """Both, as the exposition has them."""


class Cell:
    """One series of a counter or a gauge."""

    __slots__ = ("_scale", "lines", "value")

    def __init__(self, metric: Metric, values: Values) -> None:
        self.value: float = 0
        """Of a counter: only ever added to."""
        self.lines = (_line(metric.name, _pairs(metric, values)),)
        self._scale = metric.scale

    def read(self) -> tuple[float, ...]:
        """A value for each of `lines`."""
        return (self.value if self._scale == 1.0 else self.value * self._scale,)


class Histogram:
    """One series of a histogram: how many values lie in each bucket, and their sum."""

    __slots__ = ("_bounds", "counts", "lines", "sum")

    def __init__(self, metric: Metric, values: Values) -> None:
        self._bounds = metric.bounds
        self.counts = [0] * (len(metric.bounds) + 1)
        """Of each bucket by itself."""
        self.sum = 0.0
        pairs, bucket = _pairs(metric, values), f"{metric.name}_bucket"
        self.lines = (
            *[_line(bucket, (*pairs, ("le", str(bound)))) for bound in metric.bounds],
            _line(bucket, (*pairs, ("le", "+Inf"))),
            _line(f"{metric.name}_sum", pairs),
            _line(f"{metric.name}_count", pairs),
        )

    def add(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def read(self) -> tuple[float, ...]:
        """A value for each of `lines`: a bucket holds what those below it hold too."""
        up_to = [*accumulate(self.counts)]
        return (*up_to, self.sum, up_to[-1])


_Series = TypeVar("_Series", Cell, Histogram)


class _Family(Generic[_Series]):
    """All series of one metric."""

    def __init__(self, metric: Metric, make: Callable[[Metric, Values], _Series]) -> None:
        self.metric = metric
        self.make: Callable[[Metric, Values], _Series] = make
        self.series: dict[Values, _Series] = {}
        self.lines_each = len(metric.bounds) + 3 if metric.bounds else 1
        self.aside: _Series = make(metric, tuple([OTHER for _ in metric.labels]))
        """Takes what has no room anywhere else, and is not told."""


class _Words:
    """The values of one label that have series of their own."""

    def __init__(self, label: Label, known: Iterable[str]) -> None:
        self._own = {*label.values, *known, OTHER}
        self._left = label.first_come

    def own(self, value: str) -> str:
        if value in self._own:
            return value
        if not self._left:
            return OTHER
        self._left -= 1
        self._own.add(value)
        return value


class Registry:
    """All series there are.

    Args:
        known: by the name of a label, values that always have series of their own.
        max_series: how many there may be of all metrics together, each bucket of a histogram counted.
    """

    def __init__(
        self,
        known: Mapping[str, Iterable[str]],
        *,
        metrics: Iterable[Metric] = METRICS,
        max_series: int = MAX_SERIES,
    ) -> None:
        self._max_series = max_series
        self.exemplars = Exemplars()
        self.series = 0
        """How many there are."""
        metrics = (*metrics,)
        self._words = {label: _Words(label, known.get(label.name, ())) for each in metrics for label in each.labels}
        self._histograms = {each: _Family(each, Histogram) for each in metrics if each.kind == "histogram"}
        self._cells = {each: _Family(each, Cell) for each in metrics if each.kind != "histogram"}
        self._families = [self._histograms.get(each) or self._cells[each] for each in metrics]
        self._refreshers: list[Callable[[], None]] = []
        for each in metrics:
            if each.kind == "counter" and not each.labels:
                self.counter(each)
        self._dropped = self._cells[SERIES_DROPPED].series[()] if SERIES_DROPPED in self._cells else None

    # -- writing ------------------------------------------------------------------------------------------------

    def counter(self, metric: Metric, *values: str) -> Cell:
        """The series for these values of its labels, or the one they are booked under if they have none."""
        family = self._cells[metric]
        return family.series.get(values) or self._find(family, values)

    def histogram(self, metric: Metric, *values: str) -> Histogram:
        """Likewise."""
        family = self._histograms[metric]
        return family.series.get(values) or self._find(family, values)

    def set(
        self,
        metric: Metric,
        rows: Iterable[tuple[Values, float]],
        merge: Callable[[float, float], float] = operator.add,
    ) -> None:
        """Have a gauge, or a counter that is kept elsewhere, say this and nothing else.

        Args:
            merge: what rows come to together that have no series of their own.
        """
        family = self._cells[metric]
        before, family.series = family.series, {}
        self.series -= len(before)
        for given, value in rows:
            values = self._own(metric, given)
            if (cell := family.series.get(values)) is not None:
                cell.value = merge(cell.value, value)
            elif self.series < self._max_series:
                self.series += 1
                cell = family.series[values] = before.get(values) or Cell(metric, values)
                cell.value = value
            else:
                self._drop()

    def word(self, label: Label, value: str) -> str:
        """What stands for a value of a label: itself, or `other`."""
        word = self._words[label].own(_clean(value))
        if word == OTHER != value and label.first_come:
            self._drop()
        return word

    def on_read(self, refresh: Callable[[], None]) -> None:
        """Have `refresh` called before anything is read: gauges are looked up when somebody looks at them."""
        self._refreshers.append(refresh)

    def _own(self, metric: Metric, given: Values) -> Values:
        return tuple([self.word(label, value) for label, value in zip(metric.labels, given, strict=True)])

    def _find(self, family: _Family[_Series], given: Values) -> _Series:
        metric = family.metric
        values = self._own(metric, given)
        if (found := family.series.get(values)) is not None:
            return found
        if self.series + family.lines_each > self._max_series:
            self._drop()
            rest = tuple([v if label.values else OTHER for label, v in zip(metric.labels, values, strict=True)])
            return family.series.get(rest) or family.aside
        for each in _born_together(metric, values):
            if each not in family.series and self.series + family.lines_each <= self._max_series:
                family.series[each] = family.make(metric, each)
                self.series += family.lines_each
        return family.series[values]

    def _drop(self) -> None:
        if self._dropped is not None:
            self._dropped.value += 1

    # -- reading ------------------------------------------------------------------------------------------------

    def exposition(self) -> bytes:
        """All of it, in Prometheus' text format."""
        self._refresh()
        text: list[str] = []
        for family in self._families:
            metric = family.metric
            if family.series:
                text.append(f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n")
            for series in family.series.values():
                for line, value in zip(series.lines, series.read(), strict=True):
                    text.append(f"{line.text} {_number(value)}\n")
        return "".join(text).encode()

    def snapshot(self, only: Container[str] | None = None) -> Iterator[Sample]:
        """Every value there is; with `only` those of the metrics of these names."""
        self._refresh()
        for family in self._families:
            if only is None or family.metric.name in only:
                for series in family.series.values():
                    for line, value in zip(series.lines, series.read(), strict=True):
                        yield line.name, line.pairs, value

    def series_of(self) -> Iterator[tuple[Metric, list[tuple[Pairs, Cell | Histogram]]]]:
        """Every metric that has series, with their labels: for whoever tells them in another form."""
        self._refresh()
        for family in self._families:
            if family.series:
                yield family.metric, [(_pairs(family.metric, each), its) for each, its in family.series.items()]

    def _refresh(self) -> None:
        for refresh in self._refreshers:
            refresh()


def _born_together(metric: Metric, values: Values) -> list[Values]:
    """`values`, first, and those that differ in what the metric's series are born with."""
    if metric.born_with is None:
        return [values]
    at = metric.labels.index(metric.born_with)
    return [values, *[(*values[:at], other, *values[at + 1 :]) for other in metric.born_with.values]]


def _clean(value: str) -> str:
    """A label's value that can be written down in UTF-8 and shown in a terminal."""
    if len(value) <= MOST_CHARS and value.isascii() and value.isprintable():
        return value
    return printable(value[:MOST_CHARS].encode("utf-8", "replace").decode())


def _pairs(metric: Metric, values: Values) -> Pairs:
    return tuple([(label.name, value) for label, value in zip(metric.labels, values, strict=True)])


def _line(name: str, pairs: Pairs) -> _Line:
    text = ",".join([f'{label}="{_escaped(value)}"' for label, value in pairs])
    return _Line(name, pairs, f"{name}{{{text}}}" if text else name)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if value == inf:
        return "+Inf"
    return f"{value:.15g}"
