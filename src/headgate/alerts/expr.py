"""What a rule or a panel asks of metrics: a tree that says itself in PromQL, and computes itself from our own samples.

Both come to the same (tests/alerts/test_expr.py asks the real Prometheus).  It is as much of PromQL as the rules need:
selectors and operators here, functions beside it.  Each selector names one metric, so results carry no name.

    calls = metric("headgate_requests_total")
    failed = metric("headgate_requests_total", outcome="timeout")
    (ratio(total(increase(failed, 600)), total(increase(calls, 600))) > 0.01) & (total(increase(calls, 600)) >= 100)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple, Protocol, TypeVar

from headgate.alerts.arithmetic import divided
from headgate.alerts.samples import LOOKBACK_MS, Labels, Matchers, Series

__all__ = [
    "Expr",
    "Matcher",
    "Number",
    "Reach",
    "Selector",
    "Source",
    "Vector",
    "duration",
    "literal",
    "metric",
    "not_one_of",
    "one_of",
    "only",
    "whole_ms",
]

T = TypeVar("T")

Vector = dict[Labels, float]
"""A value for each set of labels."""


class Source(Protocol):
    """Where samples come from."""

    def of(self, name: str, matchers: Matchers = ()) -> Iterable[Series]:
        """The series of a metric, those only whose labels match."""
        ...

    def once(self, question: Hashable, at_ms: int, answer: Callable[[], T]) -> T:
        """The answer to a question that several ask at one time."""
        ...


class Reach(NamedTuple):
    """A metric, and how many whole_ms ago are the oldest and the newest of its samples that matter."""

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
        at_ms -= whole_ms(self.back_s)
        found = source.of(self.name, self.matchers)
        return {series.labels: value for series in found if (value := series.at(at_ms)) is not None}

    def parts(self) -> Sequence[Expr]:
        return ()

    def selectors(self) -> Iterator[Selector]:
        yield self

    def reaches(self) -> Iterator[Reach]:
        back_ms = whole_ms(self.back_s)
        yield Reach(self.name, back_ms + LOOKBACK_MS, back_ms)


def metric(name: str, **labels: str | Matcher) -> Selector:
    """The series of a metric, those only with these labels."""
    return Selector(name).also(**labels)


@dataclass(frozen=True)
class Number(Expr):
    """A number.  On the right of an operator it stands for itself, whatever the labels on the left."""

    value: float

    def promql(self) -> str:
        return f"vector({literal(self.value)})"

    def at(self, source: Source, at_ms: int) -> Vector:
        return {(): self.value}

    def parts(self) -> Sequence[Expr]:
        return ()


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
        return labels if self.on is None else only(labels, self.on)

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
    left_ms = whole_ms(seconds)
    words = ""
    for unit, unit_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, left_ms = divmod(left_ms, unit_ms)
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def _expr(value: Expr | float) -> Expr:
    return value if isinstance(value, Expr) else Number(value)


def _operand(expr: Expr) -> str:
    return literal(expr.value) if isinstance(expr, Number) else _grouped(expr)


def _grouped(expr: Expr) -> str:
    return f"({expr.promql()})" if isinstance(expr, _Pairwise | Matched) else expr.promql()


def literal(value: float) -> str:
    return repr(float(value)).removesuffix(".0")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def whole_ms(seconds: float) -> int:
    return round(seconds * 1000)


def only(labels: Labels, names: tuple[str, ...]) -> Labels:
    return tuple([label for label in labels if label[0] in names]) if names else ()
