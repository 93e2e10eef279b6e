"""Functions over metrics, as Prometheus has them: growth in a window, quantiles, sums by label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Literal

from headgate.alerts.arithmetic import extrapolation, greatest, histogram_quantile, nearest
from headgate.alerts.expr import Expr, Reach, Selector, Source, Vector, duration, literal, only, whole_ms
from headgate.alerts.samples import Labels

__all__ = [
    "Growth",
    "Quantile",
    "Rounded",
    "Top",
    "increase",
    "largest",
    "quantile",
    "rate",
    "ratio",
    "total",
]


@dataclass(frozen=True)
class Growth(Expr):
    """How much counters grew in a window, or that per second."""

    function: Literal["increase", "rate"]
    selector: Selector
    window_s: float

    def promql(self) -> str:
        return f"{self.function}({self.selector.promql(f'[{duration(self.window_s)}]')})"

    def at(self, source: Source, at_ms: int) -> Vector:
        return source.once(self, at_ms, lambda: self._at(source, at_ms))

    def _at(self, source: Source, at_ms: int) -> Vector:
        to_ms = at_ms - whole_ms(self.selector.back_s)
        from_ms = to_ms - whole_ms(self.window_s)
        per = self.window_s if self.function == "rate" else 1.0
        found: Vector = {}
        for series in source.of(self.selector.name, self.selector.matchers):
            span = series.span(from_ms, to_ms)
            if span is not None and span.samples > 1:
                found[series.labels] = span.gain * (extrapolation(span, from_ms, to_ms) / per)
        return found

    def parts(self) -> Sequence[Expr]:
        return (self.selector,)

    def reaches(self) -> Iterator[Reach]:
        back_ms = whole_ms(self.selector.back_s)
        yield Reach(self.selector.name, back_ms + whole_ms(self.window_s), back_ms)


def increase(selector: Selector, window_s: float) -> Expr:
    return Growth("increase", selector, window_s)


def rate(selector: Selector, window_s: float) -> Expr:
    return Growth("rate", selector, window_s)


@dataclass(frozen=True)
class Quantile(Expr):
    """Of the histograms whose buckets these are."""

    share: float
    buckets: Expr

    def promql(self) -> str:
        return f"histogram_quantile({literal(self.share)}, {self.buckets.promql()})"

    def at(self, source: Source, at_ms: int) -> Vector:
        histograms: dict[Labels, list[tuple[float, float]]] = {}
        for labels, count in self.buckets.at(source, at_ms).items():
            rest = tuple(label for label in labels if label[0] != "le")
            if len(rest) < len(labels):
                histograms.setdefault(rest, []).append((float(dict(labels)["le"]), count))
        return {labels: histogram_quantile(self.share, sorted(found)) for labels, found in histograms.items()}

    def parts(self) -> Sequence[Expr]:
        return (self.buckets,)


def quantile(share: float, histogram: Selector, window_s: float, *by: str) -> Expr:
    """Of what a histogram took in a window.  To a thousandth, so that what lies on a bound is not a hair above it,
    whatever floating point makes of it."""
    buckets = replace(histogram, name=f"{histogram.name}_bucket")
    return Rounded(Quantile(share, total(increase(buckets, window_s), "le", *by)), 0.001)


@dataclass(frozen=True)
class Rounded(Expr):
    """To the nearest multiple of `step`."""

    value: Expr
    step: float

    def promql(self) -> str:
        return f"round({self.value.promql()}, {literal(self.step)})"

    def at(self, source: Source, at_ms: int) -> Vector:
        return {labels: nearest(value, self.step) for labels, value in self.value.at(source, at_ms).items()}

    def parts(self) -> Sequence[Expr]:
        return (self.value,)


def ratio(part: Expr, whole: Expr) -> Expr:
    """To a millionth, so that 10 of 100 is 0.1, whatever floating point makes of it."""
    return Rounded(part / whole, 0.000001)


@dataclass(frozen=True)
class Aggregate(Expr):
    """One value for all that are alike in the labels `by`."""

    function: Literal["sum", "max"]
    value: Expr
    by: tuple[str, ...]

    def promql(self) -> str:
        by = f" by ({', '.join(self.by)}) " if self.by else ""
        return f"{self.function}{by}({self.value.promql()})"

    def at(self, source: Source, at_ms: int) -> Vector:
        return source.once(self, at_ms, lambda: self._at(source, at_ms))

    def _at(self, source: Source, at_ms: int) -> Vector:
        groups: dict[Labels, list[float]] = {}
        for labels, value in self.value.at(source, at_ms).items():
            groups.setdefault(only(labels, self.by), []).append(value)
        combine = sum if self.function == "sum" else greatest
        return {labels: combine(values) for labels, values in groups.items()}

    def parts(self) -> Sequence[Expr]:
        return (self.value,)


def total(value: Expr, *by: str) -> Expr:
    return Aggregate("sum", value, by)


def largest(value: Expr, *by: str) -> Expr:
    return Aggregate("max", value, by)


@dataclass(frozen=True)
class Top(Expr):
    """The largest few, largest first."""

    count: int
    value: Expr

    def promql(self) -> str:
        return f"topk({self.count}, {self.value.promql()})"

    def at(self, source: Source, at_ms: int) -> Vector:
        found = [pair for pair in self.value.at(source, at_ms).items() if not isnan(pair[1])]
        return dict(sorted(found, key=lambda pair: (-pair[1], pair[0]))[: self.count])

    def parts(self) -> Sequence[Expr]:
        return (self.value,)
