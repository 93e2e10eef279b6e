"""Queries that several panels have in common."""

from __future__ import annotations

from headgate.alerts.expr import Expr, Matcher, Selector, metric
from headgate.alerts.functions import increase, quantile, rate, total
from headgate.telemetry.metrics.catalogue import Metric
from headgate.telemetry.panels.panel import Line

__all__ = ["HOUR_S", "WINDOW_S", "grew", "of", "per_second", "quantile_by", "quantiles"]

WINDOW_S = 300.0
HOUR_S = 3600.0


def of(what: Metric, **labels: str | Matcher) -> Selector:
    return metric(what.name, **labels)


def per_second(what: Metric, *by: str, **labels: str | Matcher) -> Expr:
    return total(rate(of(what, **labels), WINDOW_S), *by)


def grew(what: Metric, *by: str, window_s: float = WINDOW_S, **labels: str | Matcher) -> Expr:
    return total(increase(of(what, **labels), window_s), *by)


def quantile_by(share: float, histogram: Metric, *by: str) -> Expr:
    return quantile(share, of(histogram), WINDOW_S, *by)


def quantiles(histogram: Metric, by: str) -> tuple[Line, ...]:
    shares = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    return tuple(Line(quantile_by(share, histogram, by), f"{name} {{{by}}}") for share, name in shares)
