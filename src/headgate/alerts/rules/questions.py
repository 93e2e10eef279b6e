"""What several rules ask in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headgate.alerts.expr import Expr, Matcher, Selector, metric, one_of
from headgate.alerts.functions import increase, largest, ratio, total
from headgate.alerts.rule import HOUR_S, Limits
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.catalogue import Metric

__all__ = ["DAY_S", "FAILED", "JUDGED", "count_of", "first_in_a_day", "grown", "share_of_workflow"]

DAY_S = 24 * HOUR_S
FAILED = one_of("upstream_error", "timeout", "truncated", "invalid_output", "internal")
JUDGED = Matcher("!~", "client_error|budget|rate|cancelled")
"""Outcomes that say something about the service: not a caller's own mistake, limit or change of mind."""


def grown(counter: Selector, window_s: float, *by: str) -> Expr:
    """How much a counter of rare events grew.  The first event brings its series along, which no difference shows: a
    series that was not there counts whole, if it is known that it was not there, and not only that nobody looked."""
    looked = largest(metric(catalogue.BUILD_INFO.name).back(window_s))
    young = largest(metric(catalogue.UPTIME.name)) < window_s
    born = counter.unless(counter.back(window_s)).when(looked | young)
    return total(born | increase(counter, window_s), *by)


def share_of_workflow(what: Metric, labels: dict[str, str], window_s: float) -> Callable[[Limits], Expr]:
    """Of a workflow's values of a counter, those with these labels."""

    def asks(limits: Limits) -> Expr:
        whole = total(increase(limits.of(what), window_s), "workflow")
        part = total(increase(limits.of(what, **labels), window_s), "workflow")
        return (ratio(part, whole) > limits.threshold) & (whole >= limits.minimum)

    return asks


def count_of(histogram: Selector) -> Selector:
    return replace(histogram, name=f"{histogram.name}_count")


def first_in_a_day(limits: Limits, what: Metric, *by: str) -> Expr:
    """What counted up in the last quarter of an hour and had not in a day.  A series that begins at one has grown too,
    though no difference shows it."""
    counter = limits.of(what)
    before = counter.back(900)
    lately = counter.unless(before) | increase(counter, 900)
    earlier = before.unless(counter.back(DAY_S)) | increase(before, DAY_S - 900)
    return (total(lately, *by) > limits.threshold).unless(total(earlier, *by) > 0)
