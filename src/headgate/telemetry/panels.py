"""What dashboards show: six of them, each panel with the question that it answers.

The same expressions make the Grafana dashboards (grafana.py) and are answered from our own samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headgate.alerts.expr import Expr, Matcher, Selector, metric
from headgate.alerts.functions import increase, largest, quantile, rate, ratio, total
from headgate.alerts.rules.questions import FAILED, JUDGED
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.catalogue import Metric

__all__ = ["DASHBOARDS", "Dashboard", "Line", "Panel", "Unit"]

Unit = Literal["share", "seconds", "usd", "count", "per_second", "bytes", "state"]

WINDOW_S = 300.0
HOUR_S = 3600.0


@dataclass(frozen=True)
class Line:
    """A line for each set of labels that its answer has."""

    expr: Expr
    legend: str
    """`{workflow}` is the value of the label."""


@dataclass(frozen=True)
class Panel:
    """A question, and the lines that answer it."""

    title: str
    question: str
    unit: Unit
    lines: tuple[Line, ...]
    threshold: float | None = None
    """Where it begins to be bad, drawn as a line."""
    rare: bool = False
    """On a good day there is nothing to show."""


@dataclass(frozen=True)
class Dashboard:
    """Panels that are looked at together."""

    id: str
    title: str
    panels: tuple[Panel, ...]


def _of(what: Metric, **labels: str | Matcher) -> Selector:
    return metric(what.name, **labels)


def _per_second(what: Metric, *by: str, **labels: str | Matcher) -> Expr:
    return total(rate(_of(what, **labels), WINDOW_S), *by)


def _grew(what: Metric, *by: str, window_s: float = WINDOW_S, **labels: str | Matcher) -> Expr:
    return total(increase(_of(what, **labels), window_s), *by)


def _quantile(share: float, histogram: Metric, *by: str) -> Expr:
    return quantile(share, _of(histogram), WINDOW_S, *by)


def _quantiles(histogram: Metric, by: str) -> tuple[Line, ...]:
    shares = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    return tuple(Line(_quantile(share, histogram, by), f"{name} {{{by}}}") for share, name in shares)


PROMPT = Matcher("!=", "output")


def _failed_share(*by: str, window_s: float = WINDOW_S) -> Expr:
    return ratio(
        _grew(catalogue.REQUESTS, *by, window_s=window_s, outcome=FAILED),
        _grew(catalogue.REQUESTS, *by, window_s=window_s, outcome=JUDGED),
    )


SERVICE = Dashboard(
    "service",
    "Service",
    (
        Panel(
            "Calls",
            "How much is asked, and by which workflow?",
            "per_second",
            (Line(_per_second(catalogue.REQUESTS, "workflow"), "{workflow}"),),
        ),
        Panel(
            "Failed share",
            "Which share of a workflow's calls fails, after everything that Headgate tried?",
            "share",
            (Line(_failed_share("workflow"), "{workflow}"),),
            threshold=0.01,
        ),
        Panel(
            "Outcomes",
            "How do calls end?",
            "per_second",
            (Line(_per_second(catalogue.REQUESTS, "outcome"), "{outcome}"),),
        ),
        Panel(
            "Time to the last byte",
            "How long do callers wait, queue included?",
            "seconds",
            _quantiles(catalogue.DURATION, "workflow"),
        ),
        Panel(
            "Interactive calls",
            "Do people wait?",
            "seconds",
            (
                Line(
                    quantile(0.95, _of(catalogue.DURATION, lane="interactive"), WINDOW_S, "workflow"), "p95 {workflow}"
                ),
            ),
            threshold=18.0,
        ),
        Panel(
            "Time to the first content",
            "How long until a stream begins?",
            "seconds",
            (Line(_quantile(0.95, catalogue.TTFT, "model"), "p95 {model}"),),
        ),
        Panel(
            "What may still fail",
            "How much of what 99 % success leaves in an hour is used up?",
            "share",
            (Line(_failed_share(window_s=HOUR_S) / 0.01, "used up"),),
            threshold=1.0,
        ),
        Panel(
            "Headgate's own time",
            "What does the gateway itself add?",
            "seconds",
            (Line(_quantile(0.95, catalogue.OVERHEAD, "lane"), "p95 {lane}"),),
        ),
    ),
)

TRAFFIC = Dashboard(
    "traffic",
    "Traffic control",
    (
        Panel(
            "Waiting",
            "How many calls wait, in which lane?",
            "count",
            (Line(largest(_of(catalogue.QUEUE_DEPTH), "lane"), "{lane}"),),
        ),
        Panel(
            "Age of the oldest",
            "How long has the longest waited?",
            "seconds",
            (Line(largest(_of(catalogue.QUEUE_AGE), "lane"), "{lane}"),),
            threshold=240.0,
        ),
        Panel(
            "Time in the queue",
            "How long do calls wait for their turn?",
            "seconds",
            (Line(_quantile(0.95, catalogue.QUEUE_WAIT, "lane"), "p95 {lane}"),),
        ),
        Panel(
            "Under way",
            "How many attempts are with the API?",
            "count",
            (Line(total(_of(catalogue.INFLIGHT), "lane"), "{lane}"),),
        ),
        Panel(
            "Refused",
            "What does Headgate send back without trying, and why?",
            "per_second",
            (Line(_per_second(catalogue.REJECTIONS, "reason"), "{reason}"),),
            rare=True,
        ),
        Panel(
            "Limits used",
            "How near is the account to its limits?",
            "share",
            (
                Line(
                    largest(_of(catalogue.LIMIT_USED) / _of(catalogue.LIMIT_CAPACITY), "pool", "dimension"),
                    "{pool} {dimension}",
                ),
            ),
            threshold=0.9,
        ),
        Panel(
            "What the API says is left",
            "Does somebody else use the account?",
            "count",
            (Line(largest(_of(catalogue.UPSTREAM_REMAINING), "pool", "dimension"), "{pool} {dimension}"),),
        ),
        Panel(
            "Attempts",
            "How do trips to the API end?",
            "per_second",
            (Line(_per_second(catalogue.ATTEMPTS, "class"), "{class}"),),
        ),
        Panel(
            "Retries",
            "What is tried again?",
            "per_second",
            (Line(_per_second(catalogue.RETRIES, "reason"), "{reason}"),),
            rare=True,
        ),
        Panel(
            "Breakers",
            "To which pools does nothing go?",
            "state",
            (Line(largest(_of(catalogue.BREAKER), "pool"), "{pool}"),),
            threshold=2.0,
        ),
        Panel(
            "Asked to wait",
            "For how long does a pool rest?",
            "seconds",
            (Line(largest(_of(catalogue.NOT_BEFORE), "pool"), "{pool}"),),
        ),
        Panel(
            "Fallbacks",
            "Which calls are answered by something else?",
            "per_second",
            (Line(_per_second(catalogue.FALLBACKS, "workflow", "to_model"), "{workflow} by {to_model}"),),
            rare=True,
        ),
    ),
)

MONEY = Dashboard(
    "money",
    "Money",
    (
        Panel(
            "Spent an hour",
            "Where does money go?",
            "usd",
            (Line(_grew(catalogue.COST, "workflow", window_s=HOUR_S), "{workflow}"),),
        ),
        Panel(
            "By model",
            "Which models cost it?",
            "usd",
            (Line(_grew(catalogue.COST_BY_MODEL, "model", window_s=HOUR_S), "{model}"),),
        ),
        Panel(
            "Per call that succeeded",
            "What does an answer cost?",
            "usd",
            (
                Line(
                    _grew(catalogue.COST, "workflow", window_s=HOUR_S)
                    / _grew(catalogue.REQUESTS, "workflow", window_s=HOUR_S, outcome="ok"),
                    "{workflow}",
                ),
            ),
        ),
        Panel(
            "Budgets",
            "How much of each budget is spent or held?",
            "share",
            (
                Line(
                    largest(
                        (_of(catalogue.BUDGET_SETTLED) + _of(catalogue.BUDGET_HELD)) / _of(catalogue.BUDGET_CAP),
                        "scope",
                        "window",
                    ),
                    "{scope} ({window})",
                ),
            ),
            threshold=1.0,
            rare=True,
        ),
        Panel(
            "Expected",
            "What should this hour cost, on this kind of day, and from where on is it out of line?",
            "usd",
            (
                Line(largest(_of(catalogue.COST_BASELINE), "scope"), "expected ({scope})"),
                Line(
                    largest(_of(catalogue.COST_BASELINE) + _of(catalogue.COST_BAND), "scope"), "out of line ({scope})"
                ),
            ),
            rare=True,
        ),
        Panel(
            "Out of line",
            "How far is spending above what this kind of day expects, in widths of its band?",
            "count",
            (Line(largest(_of(catalogue.COST_RISE), "scope"), "{scope}"),),
            threshold=1.0,
            rare=True,
        ),
        Panel(
            "Estimated",
            "How much of it is not known for certain?",
            "usd",
            (Line(_grew(catalogue.COST_ESTIMATED, window_s=HOUR_S), "estimated"),),
            rare=True,
        ),
    ),
)

TOKENS = Dashboard(
    "tokens",
    "Cache and tokens",
    (
        Panel(
            "Cached share",
            "How much of a workflow's prompts comes from the cache?",
            "share",
            (
                Line(
                    ratio(
                        _grew(catalogue.TOKENS, "workflow", window_s=HOUR_S, kind="cache_read"),
                        _grew(catalogue.TOKENS, "workflow", window_s=HOUR_S, kind=PROMPT),
                    ),
                    "{workflow}",
                ),
            ),
            threshold=0.55,
        ),
        Panel(
            "Tokens",
            "Of which kind are they?",
            "per_second",
            (Line(_per_second(catalogue.TOKENS, "kind"), "{kind}"),),
        ),
        Panel(
            "Tokens a call",
            "Have calls grown?",
            "count",
            (
                Line(
                    _grew(catalogue.TOKENS, "workflow", window_s=HOUR_S)
                    / _grew(catalogue.REQUESTS, "workflow", window_s=HOUR_S),
                    "{workflow}",
                ),
            ),
        ),
        Panel(
            "Outliers",
            "Which calls took over twice the tokens of their workflow?",
            "count",
            (Line(_grew(catalogue.TOKEN_OUTLIERS, "workflow", window_s=HOUR_S), "{workflow}"),),
            rare=True,
        ),
        Panel(
            "Estimates",
            "How far is what calls were admitted for from what they took?",
            "share",
            (Line(_quantile(0.5, catalogue.ESTIMATE_ERROR, "kind"), "median {kind}"),),
        ),
        Panel(
            "Cache markers",
            "Where does Headgate mark prompts for the cache?",
            "per_second",
            (Line(_per_second(catalogue.CACHE_BREAKPOINTS, "workflow"), "{workflow}"),),
            rare=True,
        ),
    ),
)

BATCHES = Dashboard(
    "batches",
    "Batches",
    (
        Panel(
            "Message Batches",
            "How many are being made or answered?",
            "count",
            (Line(total(_of(catalogue.BATCHES), "state"), "{state}"),),
        ),
        Panel(
            "Calls in batches",
            "What becomes of calls that wait for a batch?",
            "per_second",
            (Line(_per_second(catalogue.BATCH_ITEMS, "result"), "{result}"),),
            rare=True,
        ),
    ),
)

HEALTH = Dashboard(
    "health",
    "Safety and health",
    (
        Panel(
            "Alerts",
            "What is wrong?  1 pending, 2 firing.",
            "state",
            (Line(largest(_of(catalogue.ALERT_STATE), "alert").equals(2), "{alert}"),),
        ),
        Panel(
            "Why models stop",
            "Are answers cut?",
            "per_second",
            (Line(_per_second(catalogue.STOP_REASONS, "stop_reason"), "{stop_reason}"),),
        ),
        Panel(
            "Refusals",
            "What do models decline?",
            "per_second",
            (Line(_per_second(catalogue.REFUSALS, "workflow", "category"), "{workflow}: {category}"),),
            rare=True,
        ),
        Panel(
            "Personal data",
            "What was found in text that is kept?",
            "per_second",
            (Line(_per_second(catalogue.PII_FINDINGS, "type", "action"), "{type} {action}"),),
            rare=True,
        ),
        Panel(
            "Wrong keys",
            "Does somebody try keys?",
            "per_second",
            (Line(_per_second(catalogue.AUTH_FAILURES, "reason"), "{reason}"),),
            rare=True,
        ),
        Panel(
            "Writes that failed",
            "Can the ledger be written?",
            "count",
            (Line(_grew(catalogue.STORE_ERRORS, "op"), "{op}"),),
        ),
        Panel(
            "Not in the database yet",
            "Does the ledger's disk keep up?",
            "bytes",
            (Line(largest(_of(catalogue.LEDGER_BACKLOG)), "journal"),),
        ),
        Panel(
            "Telemetry that was lost",
            "Has what is shown here gaps?",
            "count",
            (Line(_grew(catalogue.TELEMETRY_DROPPED, "signal"), "{signal}"),),
        ),
        Panel(
            "Lag",
            "Is the process itself slow?",
            "seconds",
            (Line(largest(_of(catalogue.LOOP_LAG)), "event loop"),),
            threshold=0.5,
        ),
        Panel(
            "Disk",
            "How full is the disk that the ledger is on?",
            "share",
            (Line(largest(_of(catalogue.DISK_USED)), "used"),),
            threshold=0.9,
            rare=True,
        ),
        Panel(
            "Settings",
            "Do all processes run the same?",
            "count",
            (Line(total(_of(catalogue.CONFIG_INFO), "version_short"), "{version_short}"),),
        ),
    ),
)

DASHBOARDS = (SERVICE, TRAFFIC, MONEY, TOKENS, BATCHES, HEALTH)
