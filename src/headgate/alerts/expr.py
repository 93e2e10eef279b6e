"""What a rule or a panel asks of metrics: a tree that says itself in PromQL, and computes itself from our own samples.

Both come to the same (tests/alerts/test_expr.py asks the real Prometheus).  It is as much of PromQL as the rules need;
each selector names one metric, so results carry no name.

    calls = metric("headgate_requests_total")
    failed = metric("headgate_requests_total", outcome="timeout")
    (ratio(total(increase(failed, 600)), total(increase(calls, 600))) > 0.01) & (total(increase(calls, 600)) >= 100)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import isnan
from typing import Literal, NamedTuple, Protocol, TypeVar

from headgate.alerts.arithmetic import divided, extrapolation, greatest, histogram_quantile, nearest
from headgate.alerts.samples import LOOKBACK_MS, Labels, Series

__all__ = [
    "Absent", "Expr", "Growth", "Matcher", "Number", "Reach", "Rounded", "Selector", "Source", "Top", "Vector",
    "duration", "increase", "largest", "metric", "not_one_of", "one_of", "quantile", "rate", "ratio", "total",
]  # fmt: skip

T = TypeVar("T")

Vector = dict[Labels, float]
"""A value for each set of labels."""


class Source(Protocol):
    """Where samples come from."""

    def of(self, name: str) -> Iterable[Series]:
        """All series of a metric."""
        ...

    def once(self, question: Hashable, at_ms: int, answer: Callable[[], T]) -> T:
        """The answer to a question that several ask at one time."""
        ...


class Reach(NamedTuple):
    """A metric, and how many milliseconds ago are the oldest and the newest of its samples that matter."""

    name: str
    oldest_ms: int
    newest_ms: int


class Expr:
    """A question whose answer at any time is a `Vector`."""

    def promql(self) -> str:
        raise NotImplementedError

    def at(self, source: Source, at_ms: int) -> Vector:
        raise NotImplementedError

    def parts(self) -> Sequence[Expr]:
        """The expressions it is made of."""
        raise NotImplementedError

    def reaches(self) -> Iterator[Reach]:
        """What it looks at, and how far back."""
        for part in self.parts():
            yield from part.reaches()

    def selectors(self) -> Iterator[Selector]:
        """Which series it looks at."""
        for part in self.parts():
            yield from part.selectors()

    def __add__(self, other: Expr | float) -> Expr:
        return Arithmetic("+", self, _expr(other))

    def __sub__(self, other: Expr | float) -> Expr:
        return Arithmetic("-", self, _expr(other))

    def __mul__(self, other: Expr | float) -> Expr:
        return Arithmetic("*", self, _expr(other))

    def __truediv__(self, other: Expr | float) -> Expr:
        return Arithmetic("/", self, _expr(other))

    def __gt__(self, other: Expr | float) -> Expr:
        return Comparison(">", self, _expr(other))

    def __ge__(self, other: Expr | float) -> Expr:
        return Comparison(">=", self, _expr(other))

    def __lt__(self, other: Expr | float) -> Expr:
        return Comparison("<", self, _expr(other))

    def equals(self, other: float) -> Expr:
        return Comparison("==", self, _expr(other))

    def __and__(self, other: Expr) -> Expr:
        return Matched("and", self, other)

    def __or__(self, other: Expr) -> Expr:
        return Matched("or", self, other)

    def unless(self, other: Expr) -> Expr:
        return Matched("unless", self, other)

    def when(self, other: Expr, *on: str) -> Expr:
        """What it is, where there is anything in `other` with the same labels `on`; without any: anything at all."""
        return Matched("and", self, other, on)


# -- selectors ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Matcher:
    """Which values of a label: one, all but one, or those that a regular expression describes as a whole."""

    op: Literal["=", "!=", "=~", "!~"]
    value: str

    def __call__(self, value: str) -> bool:
        if self.op == "=":
            return value == self.value
        if self.op == "!=":
            return value != self.value
        return (self._pattern.fullmatch(value) is not None) == (self.op == "=~")

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.value)


def one_of(*values: str) -> Matcher:
    return Matcher("=~", "|".join(map(re.escape, values)))


def not_one_of(*values: str) -> Matcher:
    return Matcher("!~", "|".join(map(re.escape, values)))


@dataclass(frozen=True)
class Selector(Expr):
    """The series of a metric whose labels match; by itself, the last value of each."""

    name: str
    matchers: tuple[tuple[str, Matcher], ...] = ()
    back_s: float = 0.0

    def back(self, seconds: float) -> Selector:
        """The same, so long ago."""
        return replace(self, back_s=self.back_s + seconds)

    def also(self, **labels: str | Matcher) -> Selector:
        """Of these only those with these labels."""
        more = ((label, Matcher("=", value) if isinstance(value, str) else value) for label, value in labels.items())
        return replace(self, matchers=(*self.matchers, *more))

    def promql(self, window: str = "") -> str:
        chosen = ",".join(f"{label}{matcher.op}{_quoted(matcher.value)}" for label, matcher in self.matchers)
        offset = f" offset {duration(self.back_s)}" if self.back_s else ""
        return self.name + (f"{{{chosen}}}" if chosen else "") + window + offset

    def at(self, source: Source, at_ms: int) -> Vector:
        at_ms -= _ms(self.back_s)
        return {series.labels: value for series in self.chosen(source) if (value := series.at(at_ms)) is not None}

    def chosen(self, source: Source) -> Iterator[Series]:
        for series in source.of(self.name):
            by_name = series.by_name
            for label, matcher in self.matchers:
                if not matcher(by_name.get(label, "")):
                    break
            else:
                yield series

    def parts(self) -> Sequence[Expr]:
        return ()

    def selectors(self) -> Iterator[Selector]:
        yield self

    def reaches(self) -> Iterator[Reach]:
        back_ms = _ms(self.back_s)
        yield Reach(self.name, back_ms + LOOKBACK_MS, back_ms)


def metric(name: str, **labels: str | Matcher) -> Selector:
    """The series of a metric, those only with these labels."""
    return Selector(name).also(**labels)


@dataclass(frozen=True)
class Absent(Expr):
    """1 if there is no such series."""

    selector: Selector

    def promql(self) -> str:
        return f"absent({self.selector.promql()})"

    def at(self, source: Source, at_ms: int) -> Vector:
        if self.selector.at(source, at_ms):
            return {}
        return {tuple(sorted((label, m.value) for label, m in self.selector.matchers if m.op == "=")): 1.0}

    def parts(self) -> Sequence[Expr]:
        return (self.selector,)


@dataclass(frozen=True)
class Number(Expr):
    """A number.  On the right of an operator it stands for itself, whatever the labels on the left."""

    value: float

    def promql(self) -> str:
        return f"vector({_literal(self.value)})"

    def at(self, source: Source, at_ms: int) -> Vector:
        return {(): self.value}

    def parts(self) -> Sequence[Expr]:
        return ()


# -- functions ---------------------------------------------------------------------------------------------------------


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
        to_ms = at_ms - _ms(self.selector.back_s)
        from_ms = to_ms - _ms(self.window_s)
        per = self.window_s if self.function == "rate" else 1.0
        found: Vector = {}
        for series in self.selector.chosen(source):
            span = series.span(from_ms, to_ms)
            if span is not None and span.samples > 1:
                found[series.labels] = span.gain * (extrapolation(span, from_ms, to_ms) / per)
        return found

    def parts(self) -> Sequence[Expr]:
        return (self.selector,)

    def reaches(self) -> Iterator[Reach]:
        back_ms = _ms(self.selector.back_s)
        yield Reach(self.selector.name, back_ms + _ms(self.window_s), back_ms)


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
        return f"histogram_quantile({_literal(self.share)}, {self.buckets.promql()})"

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
        return f"round({self.value.promql()}, {_literal(self.step)})"

    def at(self, source: Source, at_ms: int) -> Vector:
        return {labels: nearest(value, self.step) for labels, value in self.value.at(source, at_ms).items()}

    def parts(self) -> Sequence[Expr]:
        return (self.value,)


def ratio(part: Expr, whole: Expr) -> Expr:
    """To a millionth, so that 10 of 100 is 0.1, whatever floating point makes of it."""
    return Rounded(part / whole, 0.000001)


# -- across labels -----------------------------------------------------------------------------------------------------


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
            groups.setdefault(_only(labels, self.by), []).append(value)
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


# -- operators ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pairwise(Expr):
    """Between values with the same labels, or between each value and a number."""

    op: str
    left: Expr
    right: Expr

    def promql(self) -> str:
        return f"{_operand(self.left)} {self.op} {_operand(self.right)}"

    def parts(self) -> Sequence[Expr]:
        return (self.left, self.right)

    def _pairs(self, source: Source, at_ms: int) -> Iterator[tuple[Labels, float, float]]:
        left = self.left.at(source, at_ms)
        if isinstance(self.right, Number):
            for labels, value in left.items():
                yield labels, value, self.right.value
        else:
            right = self.right.at(source, at_ms)
            for labels, value in left.items():
                if labels in right:
                    yield labels, value, right[labels]


@dataclass(frozen=True)
class Arithmetic(_Pairwise):
    def at(self, source: Source, at_ms: int) -> Vector:
        compute = _COMPUTE[self.op]
        return {labels: compute(one, other) for labels, one, other in self._pairs(source, at_ms)}


@dataclass(frozen=True)
class Comparison(_Pairwise):
    """The left values of which it is true."""

    def at(self, source: Source, at_ms: int) -> Vector:
        holds = _HOLDS[self.op]
        return {labels: one for labels, one, other in self._pairs(source, at_ms) if holds(one, other)}


@dataclass(frozen=True)
class Matched(Expr):
    """Left values whose labels are on the right (`and`), or are not (`unless`); or (`or`) left values, and those on the
    right whose labels are not on the left."""

    op: Literal["and", "or", "unless"]
    left: Expr
    right: Expr
    on: tuple[str, ...] | None = None

    def promql(self) -> str:
        on = "" if self.on is None else f" on ({', '.join(self.on)})"
        return f"{_grouped(self.left)}\n{self.op}{on} {_grouped(self.right)}"

    def at(self, source: Source, at_ms: int) -> Vector:
        left, right = self.left.at(source, at_ms), self.right.at(source, at_ms)
        if self.op == "or":
            return {**left, **{labels: value for labels, value in right.items() if labels not in left}}
        there = {self._key(labels) for labels in right}
        return {labels: value for labels, value in left.items() if (self._key(labels) in there) == (self.op == "and")}

    def _key(self, labels: Labels) -> Labels:
        return labels if self.on is None else _only(labels, self.on)

    def parts(self) -> Sequence[Expr]:
        return (self.left, self.right)


_COMPUTE: dict[str, Callable[[float, float], float]] = {
    "+": lambda one, other: one + other,
    "-": lambda one, other: one - other,
    "*": lambda one, other: one * other,
    "/": divided,
}
_HOLDS: dict[str, Callable[[float, float], bool]] = {
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
    "<": lambda one, other: one < other,
    "==": lambda one, other: one == other,
}

# -- words -------------------------------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    """As PromQL writes it: `1h30m`."""
    left_ms = _ms(seconds)
    words = ""
    for unit, unit_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left_ms = divmod(left_ms, unit_ms)
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def _expr(value: Expr | float) -> Expr:
    return value if isinstance(value, Expr) else Number(value)


def _operand(expr: Expr) -> str:
    return _literal(expr.value) if isinstance(expr, Number) else _grouped(expr)


def _grouped(expr: Expr) -> str:
    return f"({expr.promql()})" if isinstance(expr, _Pairwise | Matched) else expr.promql()


def _literal(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _only(labels: Labels, names: tuple[str, ...]) -> Labels:
    return tuple(label for label in labels if label[0] in names)
