"""What metrics were at certain times, as Prometheus keeps it: a list of times and values for each series.

A sum over a window takes two look-ups, however long the window is: each sample knows how far its counter has come,
falls to zero (a process that began anew) left out.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

__all__ = ["LOOKBACK_MS", "Labels", "Matchers", "Samples", "Series", "Span"]

T = TypeVar("T")

Labels = tuple[tuple[str, str], ...]
"""Names and values, in the order of the names."""

Matchers = tuple[tuple[str, Callable[[str], bool]], ...]
"""Labels, and which of their values are meant."""

LOOKBACK_MS = 300_000
"""A sample stands for its series so long, unless the series ended."""


class Span(NamedTuple):
    """The samples of a series in a window."""

    samples: int
    first_ms: int
    last_ms: int
    first: float
    gain: float
    """How much the counter grew from the first to the last."""


class Series:
    """One series.  Samples are added in the order of their times."""

    __slots__ = ("_ends_ms", "_gains", "_times_ms", "_values", "by_name", "labels")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.by_name = dict(labels)
        self._times_ms = array("q")
        self._values = array("d")
        self._gains = array("d")
        self._ends_ms = array("q")

    def add(self, at_ms: int, value: float) -> None:
        if self._values:
            before = self._values[-1]
            self._gains.append(self._gains[-1] + (value - before if value >= before else value))
        else:
            self._gains.append(0.0)
        self._times_ms.append(at_ms)
        self._values.append(value)

    def end(self, at_ms: int) -> None:
        """Whoever was asked no longer has it; it may come back."""
        self._ends_ms.append(at_ms)

    def at(self, at_ms: int) -> float | None:
        """The last value, unless it is too old or the series has ended since."""
        index = bisect_right(self._times_ms, at_ms) - 1
        if index < 0:
            return None
        time_ms = self._times_ms[index]
        ends = self._ends_ms
        if time_ms < at_ms - LOOKBACK_MS or (ends and bisect_right(ends, at_ms) > bisect_left(ends, time_ms)):
            return None
        return self._values[index]

    def span(self, from_ms: int, to_ms: int) -> Span | None:
        """The samples of a window, both its ends included; None if there are none."""
        times = self._times_ms
        first, after = bisect_left(times, from_ms), bisect_right(times, to_ms)
        if first == after:
            return None
        last = after - 1
        gain = self._gains[last] - self._gains[first]
        return Span(after - first, times[first], times[last], self._values[first], gain)

    def forget(self, before_ms: int) -> bool:
        """Let go of what is older.  Returns whether anything is left."""
        count = bisect_left(self._times_ms, before_ms)
        del self._times_ms[:count], self._values[:count], self._gains[:count]
        del self._ends_ms[: bisect_left(self._ends_ms, before_ms)]
        return bool(self._times_ms)

    def __len__(self) -> int:
        return len(self._times_ms)


class Samples:
    """Series by metric.

    Args:
        most_series: of further ones nothing is kept; `refused` counts their samples.
    """

    def __init__(self, most_series: int = 20_000) -> None:
        self._by_name: dict[str, dict[Labels, Series]] = {}
        self._room = most_series
        self._live: dict[str, dict[tuple[str, Labels], Series]] = {}
        self._chosen: dict[tuple[str, Matchers], list[Series]] = {}
        """Out of those that there are: to look through the labels of all takes longer than what is asked of them."""
        self._answers: dict[Hashable, Any] = {}
        self._answered_ms: int | None = None
        self.refused = 0

    def take(self, at_ms: int, samples: Iterable[tuple[str, Labels, float]], instance: str = "") -> None:
        """All that a process has at one time: metric, labels in any order that stays, value.  Its series carry the
        label `instance`.  One that it had before and has no more ends."""
        self._answered_ms = None
        before = self._live.get(instance, {})
        live: dict[tuple[str, Labels], Series] = {}
        of_process: Labels = (("instance", instance),) if instance else ()
        for name, labels, value in samples:
            key = (name, labels)
            series = before.pop(key, None) or self.series(name, (*labels, *of_process))
            if series is None:
                self.refused += 1
            else:
                series.add(at_ms, value)
                live[key] = series
        for gone in before.values():
            gone.end(at_ms)
        self._live[instance] = live

    def series(self, name: str, labels: Labels) -> Series | None:
        """The series, a new one if need be; None if there is no room for it."""
        of_metric = self._by_name.setdefault(name, {})
        labels = tuple(sorted(labels))
        found = of_metric.get(labels)
        if found is None and self._room > 0:
            self._room -= 1
            found = of_metric[labels] = Series(labels)
            self._chosen.clear()
        return found

    def of(self, name: str, matchers: Matchers = ()) -> Sequence[Series]:
        """The series of a metric, those only whose labels match."""
        found = self._chosen.get((name, matchers))
        if found is None:
            found = [
                series
                for series in self._by_name.get(name, {}).values()
                if all(matches(series.by_name.get(label, "")) for label, matches in matchers)
            ]
            self._chosen[name, matchers] = found
        return found

    def once(self, question: Hashable, at_ms: int, answer: Callable[[], T]) -> T:
        """The answer to a question that several ask at one time."""
        if at_ms != self._answered_ms:
            self._answers.clear()
            self._answered_ms = at_ms
        if question not in self._answers:
            self._answers[question] = answer()
        found: T = self._answers[question]
        return found

    def forget(self, before_ms: int) -> None:
        """Let go of what is older, and of series that have nothing newer."""
        for of_metric in self._by_name.values():
            for labels in [labels for labels, series in of_metric.items() if not series.forget(before_ms)]:
                del of_metric[labels]
                self._room += 1
        self._chosen.clear()
