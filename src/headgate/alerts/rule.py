"""What a rule is: a question, how much is too much, for how long, how bad that is, and in what words it is told.

One declaration serves both evaluators: `Watched.expr` is evaluated here, and written into Prometheus' rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import TYPE_CHECKING, Literal, NamedTuple

from headgate.alerts.expr import Expr, Matcher, Selector, Source, metric, not_one_of
from headgate.alerts.machine import Alert, Terms
from headgate.alerts.samples import Labels
from headgate.clock import utc
from headgate.core.shown import dollars, percent
from headgate.telemetry.metrics.catalogue import Metric
from headgate.telemetry.metrics.exemplars import Exemplar

if TYPE_CHECKING:
    from headgate.config.schema import AlertRuleConfig, AlertsConfig

__all__ = [
    "Detail", "Examples", "Limits", "Rule", "Severity", "Unit", "Watched", "detail_line", "example_line", "in_force",
    "plural", "shown",
]  # fmt: skip

Severity = Literal["page", "ticket", "info", "none"]
Unit = Literal["share", "seconds", "usd", "count", "times"]

HOUR_S = 3600.0


class Limits(NamedTuple):
    """What a rule's question is asked with."""

    threshold: float
    minimum: float
    """So much of what is judged there must be, or there is nothing to judge."""
    only: tuple[tuple[str, Matcher], ...] = ()

    def of(self, what: Metric, **labels: str | Matcher) -> Selector:
        """The metric's series; only of those that these limits are for."""
        return metric(what.name, **labels, **dict(self.only))


class Detail(NamedTuple):
    """What a notification says beyond the value: the largest of something, by its labels."""

    says: str
    """`{value}` and labels, as of the answer."""
    asks: Callable[[Labels], Expr]
    """With the alert's own labels."""
    unit: Unit


class Examples(NamedTuple):
    """What a notification names that no label may hold: the largest of a metric's exemplars of late."""

    of: Metric
    says: str
    """`{what}` and `{amount}`."""
    window_s: float
    unit: Unit = "count"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Something that a human must act on, or (`info`) should know."""

    id: str
    """Its name in settings and commands, and of its runbook."""
    number: str
    title: str
    says: str
    """One sentence with `{value}`, `{threshold}` and the labels, such as `{workflow}`; `{value:call}` is `1 call` or
    `3 calls`."""
    means: str
    """What that is to users or to money."""
    next: str
    """The first command to run."""
    asks: Callable[[Limits], Expr]
    unit: Unit
    severity: Severity
    threshold: float
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Others, for values of the label `per`."""
    per: str | None = None
    minimum: float = 0.0
    for_s: float = 0.0
    repeat_s: float | None = 4 * HOUR_S
    detail: Detail | None = None
    examples: Examples | None = None
    cause: str = ""
    """What it is a sign of, if rules of other runbooks are too: health tells such together.  Labels as in `says`."""
    runbook: str = ""
    """The file's name, if it is another's: several rules may say how bad the same is."""

    @property
    def alert(self) -> str:
        """Its name in Prometheus."""
        return "Headgate" + "".join(word.capitalize() for word in self.id.split("_"))

    @property
    def words(self) -> str:
        """What it says, as an example for all: `{value} calls`."""
        return re.sub(r"\{value:(\w+)\}", lambda found: f"{{value}} {plural(found[1])}", self.says)

    def cause_of(self, labels: Labels) -> str:
        """What one of its alerts is a sign of, with others."""
        return _filled(self.cause or self.runbook or self.id, dict(labels))

    @property
    def runbook_path(self) -> str:
        return f"runbooks/{self.runbook or self.id}.md"


class Watched:
    """A rule, with what the settings say of it."""

    def __init__(self, rule: Rule, settings: AlertRuleConfig | None = None) -> None:
        self.rule = rule
        self.severity: Severity = rule.severity
        self.threshold = rule.threshold
        self.thresholds = dict(rule.thresholds)
        self.minimum = rule.minimum
        self.for_s = rule.for_s
        if settings is not None:
            self._change(settings)
        self.expr = self._expr()
        self.reaches = frozenset(self.expr.reaches())

    @property
    def id(self) -> str:
        return self.rule.id

    @property
    def terms(self) -> Terms:
        return Terms(self.rule.id, self.for_s, self.rule.repeat_s)

    def threshold_of(self, labels: Labels) -> float:
        value = dict(labels).get(self.rule.per or "", "")
        return self.thresholds.get(value, self.threshold)

    def measured(self, source: Source, at_ms: int) -> bool:
        """Whether there is anything that it could go by: of one of its metrics a sample as new as it may be."""
        return not self.reaches or any(
            series.span(at_ms - reach.oldest_ms, at_ms - reach.newest_ms) is not None
            for reach in self.reaches
            for series in source.of(reach.name)
        )

    def text(self, labels: Labels, value: float) -> str:
        """What is told of an alert, in one sentence."""
        unit = self.rule.unit
        words = {"value": shown(value, unit), "threshold": shown(self.threshold_of(labels), unit)}
        return _filled(self.rule.says, {**words, **dict(labels)})

    def past_text(self, alert: Alert, now_ms: int) -> str:
        """What is told of an alert that is over, in one sentence."""
        unit, threshold = self.rule.unit, self.threshold_of(alert.labels)
        span = f"{_span(alert.fired_ms or alert.since_ms, now_ms)} UTC."
        if "{value" not in self.rule.says:
            return f"Fired {span}"
        limit = f"limit {shown(threshold, unit)}; " if threshold else ""
        return f"Was {shown(alert.worst(threshold), unit)} at worst; {limit}fired {span}"

    def _change(self, settings: AlertRuleConfig) -> None:
        if settings.threshold is not None:
            self.threshold, self.thresholds = settings.threshold, {}  # one for all, until others are named
        self.thresholds |= settings.thresholds
        self.severity = settings.severity or self.severity
        self.minimum = self.minimum if settings.minimum is None else settings.minimum
        self.for_s = self.for_s if settings.for_s is None else settings.for_s

    def _expr(self) -> Expr:
        per = self.rule.per
        if per is None or not self.thresholds:
            return self.rule.asks(Limits(self.threshold, self.minimum))
        others = Limits(self.threshold, self.minimum, ((per, not_one_of(*self.thresholds)),))
        found = self.rule.asks(others)
        for value, threshold in self.thresholds.items():
            found |= self.rule.asks(Limits(threshold, self.minimum, ((per, Matcher("=", value)),)))
        return found


def in_force(rules: tuple[Rule, ...], settings: AlertsConfig) -> tuple[Watched, ...]:
    """The rules that are not switched off."""
    found = ((rule, settings.rules.get(rule.id)) for rule in rules)
    return tuple(Watched(rule, of_rule) for rule, of_rule in found if of_rule is None or not of_rule.off)


def detail_line(detail: Detail, labels: Labels, value: float) -> str:
    return _filled(detail.says, {"value": shown(value, detail.unit), **dict(labels)})


def example_line(examples: Examples, exemplar: Exemplar) -> str:
    return _filled(examples.says, {"what": exemplar.what, "amount": shown(exemplar.amount, examples.unit)})


def shown(value: float, unit: Unit) -> str:
    """A value in words: `4.2 %`, `21.5 s`, `$12.30`."""
    if unit == "share":
        return percent(value)
    if unit == "seconds":
        return (
            f"{value:.3g} s" if value < 1000 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.3g} h"
        )
    if unit == "usd":
        return dollars(value)
    return f"{value:,.4g}" if unit == "times" else f"{value:,.0f}"


def _span(from_ms: int, to_ms: int) -> str:
    """`14:03–14:20`; with dates where it went past midnight."""
    begins, ends = utc(from_ms), utc(to_ms)
    form = "%H:%M" if begins.date() == ends.date() else "%Y-%m-%d %H:%M"
    return f"{begins:{form}}–{ends:{form}}"


def plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def _filled(words: str, values: Mapping[str, str]) -> str:
    """A label that an alert does not have is `?`; nothing in a label is taken for a format."""
    return "".join(_parts(words, values))


def _parts(words: str, values: Mapping[str, str]) -> Iterator[str]:
    for text, name, noun, _ in Formatter().parse(words):
        yield text
        if name is not None:
            yield (value := values.get(name, "?"))
            if noun:
                yield f" {noun if value == '1' else plural(noun)}"
