"""What becomes of an alert: ok, pending, firing, resolved; and who is told when.  Pure: time is an argument.

A rule is asked again and again, and its answer is one value for each set of labels that is in trouble.  A condition
that holds `for_s` fires; one that ends is resolved.  Each of these two is told once, and while it fires again every
`repeat_s`.  A silence keeps that from being told, an acknowledgement only the repeats.  Who was told that it fires is
told that it is resolved, silence or not: somebody may have a page open for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from math import inf
from typing import Literal, NamedTuple

from headgate.alerts.samples import Labels

__all__ = ["Acknowledgement", "Alert", "Board", "Event", "Phase", "Silence", "Terms"]


class Phase(StrEnum):
    """How it stands with a rule."""

    OK = "ok"
    PENDING = "pending"
    """The condition holds, but not for long enough."""
    FIRING = "firing"
    NO_DATA = "no_data"
    """Nothing that the rule looks at is measured."""


class Terms(NamedTuple):
    """When a rule's condition counts."""

    rule: str
    for_s: float
    repeat_s: float | None
    """None: told once, however long it lasts."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule's condition that holds for one set of labels."""

    rule: str
    labels: Labels
    value: float
    since_ms: int
    """The condition holds since then."""
    fired_ms: int | None = None
    """It has held for long enough since then."""
    told_ms: int | None = None
    """Somebody was last told then that it fires."""
    low: float = inf
    high: float = -inf
    """The least and the most that was measured while it held."""

    @property
    def phase(self) -> Phase:
        return Phase.PENDING if self.fired_ms is None else Phase.FIRING

    def worst(self, threshold: float) -> float:
        """What was measured when it was at its worst, on whichever side of the threshold that is."""
        return min(self.low, self.value) if self.value < threshold else max(self.high, self.value)

    @property
    def key(self) -> str:
        """Tells it from every other, before and after; the same in all that is told of it."""
        labels = ",".join(f"{name}={value}" for name, value in self.labels)
        return f"{self.rule}-{sha256(f'{self.rule}|{labels}|{self.since_ms}'.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Silence:
    """Nobody is told that such alerts fire."""

    id: str
    rule: str | None
    """None: every rule."""
    labels: Labels
    """Those that an alert must have, at least."""
    until_ms: int
    by: str
    why: str = ""

    def covers(self, alert: Alert, now_ms: int) -> bool:
        return now_ms < self.until_ms and self.rule in (None, alert.rule) and set(self.labels) <= set(alert.labels)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody takes care of an alert."""

    key: str
    until_ms: int
    by: str


class Event(NamedTuple):
    """Something to tell."""

    kind: Literal["firing", "repeat", "acknowledged", "resolved"]
    alert: Alert


class Board:
    """All alerts there are.  What it was told of before a restart it is given again."""

    def __init__(self, alerts: Iterable[Alert] = ()) -> None:
        self._alerts = {(alert.rule, alert.labels): alert for alert in alerts}
        self.silences: tuple[Silence, ...] = ()
        self.acknowledgements: Mapping[str, Acknowledgement] = {}

    def __iter__(self) -> Iterator[Alert]:
        return iter(self._alerts.values())

    def of(self, rule: str) -> list[Alert]:
        return [alert for alert in self._alerts.values() if alert.rule == rule]

    def judge(self, terms: Terms, found: Mapping[Labels, float], now_ms: int) -> list[Event]:
        """A rule has been asked: these are the labels for which its condition holds."""
        events = []
        for labels, value in found.items():
            before = self._alerts.get((terms.rule, labels)) or Alert(terms.rule, labels, value, now_ms)
            held = replace(before, value=value, low=min(before.low, value), high=max(before.high, value))
            after, kind = self._held(held, terms, now_ms)
            self._alerts[terms.rule, labels] = after
            if kind is not None:
                events.append(Event(kind, after))
        for alert in self.of(terms.rule):
            if alert.labels not in found:
                del self._alerts[alert.rule, alert.labels]
                if alert.told_ms is not None:
                    events.append(Event("resolved", alert))
        return events

    def forget(self, rules: Iterable[str]) -> list[Event]:
        """Only these rules are in force: alerts of others end."""
        kept = set(rules)
        gone = [alert for alert in self._alerts.values() if alert.rule not in kept]
        for alert in gone:
            del self._alerts[alert.rule, alert.labels]
        return [Event("resolved", alert) for alert in gone if alert.told_ms is not None]

    def phase(self, rule: str, *, measured: bool) -> Phase:
        """How it stands with a rule, the worst of its alerts first."""
        phases = {alert.phase for alert in self.of(rule)}
        for phase in (Phase.FIRING, Phase.PENDING):
            if phase in phases:
                return phase
        return Phase.OK if measured else Phase.NO_DATA

    def silenced(self, alert: Alert, now_ms: int) -> Silence | None:
        return next((silence for silence in self.silences if silence.covers(alert, now_ms)), None)

    def acknowledged(self, alert: Alert, now_ms: int) -> Acknowledgement | None:
        found = self.acknowledgements.get(alert.key)
        return found if found is not None and now_ms < found.until_ms else None

    def _held(self, alert: Alert, terms: Terms, now_ms: int) -> tuple[Alert, Literal["firing", "repeat"] | None]:
        if alert.fired_ms is None and now_ms - alert.since_ms >= terms.for_s * 1000:
            alert = replace(alert, fired_ms=now_ms)
        if alert.fired_ms is None or self.silenced(alert, now_ms) is not None:
            return alert, None
        if alert.told_ms is None:
            return replace(alert, told_ms=now_ms), "firing"
        due = terms.repeat_s is not None and now_ms - alert.told_ms >= terms.repeat_s * 1000
        if due and self.acknowledged(alert, now_ms) is None:
            return replace(alert, told_ms=now_ms), "repeat"
        return alert, None
