"""Tokens, the prompt cache, budgets, and spending that is out of line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headgate.alerts.expr import Expr, Matcher, metric
from headgate.alerts.functions import Top, increase, largest, ratio, total
from headgate.alerts.rule import HOUR_S, Detail, Examples, Limits, Rule
from headgate.alerts.rules.questions import DAY_S, grown
from headgate.telemetry.metrics import catalogue

__all__ = ["RULES"]


def _cached(limits: Limits) -> Expr:
    """Of workflows that use the cache at all: what is too short for it never does."""

    def tokens(kinds: Matcher) -> Expr:
        return total(increase(limits.of(catalogue.TOKENS, kind=kinds), 3600), "workflow")

    prompt = tokens(Matcher("!=", "output"))
    calls = total(increase(limits.of(catalogue.REQUESTS), 3600), "workflow")
    low = ratio(tokens(Matcher("=", "cache_read")), prompt) < limits.threshold
    return low & (prompt >= limits.minimum) & (calls >= 50) & (tokens(Matcher("=~", "cache_.*")) > 0)


CACHED_SHARE = Rule(
    id="cached_share",
    number="AL-05",
    title="The prompt cache serves less than it should",
    says="{value} of the prompt tokens of {workflow} came from the cache in the last hour; {threshold} is expected.",
    means="Each call pays for what was paid for before.",
    next="headgate cache lint",
    asks=_cached,
    unit="share",
    severity="ticket",
    threshold=0.55,
    per="workflow",
    minimum=200_000,
    for_s=1800,
)
TOKEN_OUTLIER = Rule(
    id="token_outlier",
    number="AL-06",
    title="A call took twice the tokens that its workflow takes",
    says="{value:call} of {workflow} in the last hour had over twice the tokens of its average call.",
    means="A prompt that grew, a loop, or somebody who pastes a book.",
    next="headgate alerts explain token_outliers",
    asks=lambda limits: grown(limits.of(catalogue.TOKEN_OUTLIERS), 3600, "workflow") > limits.threshold,
    unit="count",
    severity="info",
    threshold=0,
    per="workflow",
    repeat_s=HOUR_S,
    examples=Examples(catalogue.TOKEN_OUTLIERS, "{what} had {amount} tokens", HOUR_S),
    runbook="token_outliers",
)


def _outlier_share(limits: Limits) -> Expr:
    calls = total(increase(limits.of(catalogue.REQUESTS), 3600), "workflow")
    outliers = grown(limits.of(catalogue.TOKEN_OUTLIERS), 3600, "workflow")
    return (ratio(outliers, calls) > limits.threshold) & (calls >= limits.minimum)


TOKEN_OUTLIERS = replace(
    TOKEN_OUTLIER,
    id="token_outliers",
    title="Many calls take twice the tokens that their workflow takes",
    says="{value} of the calls of {workflow} in the last hour had over twice the tokens of its average call.",
    means="What a call of it costs has changed.",
    asks=_outlier_share,
    unit="share",
    severity="ticket",
    threshold=0.05,
    minimum=50,
    repeat_s=4 * HOUR_S,
)


def _spent_share(window: str, *, held: bool) -> Callable[[Limits], Expr]:
    def asks(limits: Limits) -> Expr:
        spent: Expr = limits.of(catalogue.BUDGET_SETTLED, window=window)
        if held:
            spent += limits.of(catalogue.BUDGET_HELD, window=window)
        share = largest(spent / limits.of(catalogue.BUDGET_CAP, window=window), "scope")
        return share >= limits.threshold

    return asks


def _spent_before_its_end(limits: Limits) -> Expr:
    """A warning is worth most before two in the afternoon.  No hour is tested, though: budgets have zones of their own,
    and the forecast knows what the rest of such a day costs.  Instead a part must be spent, so that the first call of a
    morning foretells nothing."""
    cap = limits.of(catalogue.BUDGET_CAP, window="day")
    foretold = largest(limits.of(catalogue.BUDGET_PROJECTED, window="day") / cap, "scope")
    return (foretold > limits.threshold) & (
        largest(limits.of(catalogue.BUDGET_SETTLED, window="day") / cap, "scope") >= TELLING_SHARE
    )


TELLING_SHARE = 0.25
DAILY_SPEND_AHEAD = Rule(
    id="daily_spend_ahead",
    number="AL-07",
    title="A day's budget will not last the day",
    says="{value} of the daily budget {scope} will be spent when the day ends, by what such days cost.",
    means="Calls that it covers will be refused then, or go on without it, as the budget says.",
    next="headgate budget",
    asks=_spent_before_its_end,
    unit="share",
    severity="ticket",
    threshold=1.0,
    per="scope",
    for_s=900,
    runbook="daily_spend",
    cause="budget {scope}",
)
DAILY_SPEND = Rule(
    id="daily_spend",
    number="AL-07",
    title="A day's budget is spent",
    says="{value} of the daily budget {scope} is spent or held.",
    means="Calls that it covers are refused, or go on without it, as the budget says.",
    next="headgate budget",
    asks=_spent_share("day", held=True),
    unit="share",
    severity="page",
    threshold=1.0,
    per="scope",
    cause="budget {scope}",
)
MONTHLY_BUDGET_50 = Rule(
    id="monthly_budget_50",
    number="AL-08",
    title="Half of a month's budget is spent",
    says="{value} of the monthly budget {scope} is spent.",
    means="`headgate budget` tells when it will be gone.",
    next="headgate budget",
    asks=_spent_share("month", held=False),
    unit="share",
    severity="info",
    threshold=0.5,
    per="scope",
    repeat_s=None,
    runbook="monthly_budget",
    cause="budget {scope}",
)
MONTHLY_BUDGET_80 = replace(
    MONTHLY_BUDGET_50,
    id="monthly_budget_80",
    title="A month's budget is at 80 %",
    severity="ticket",
    threshold=0.8,
)
MONTHLY_BUDGET_90 = replace(
    MONTHLY_BUDGET_80, id="monthly_budget_90", title="A month's budget is at 90 %", threshold=0.9
)
MONTHLY_BUDGET_100 = replace(
    MONTHLY_BUDGET_50,
    id="monthly_budget_100",
    title="A month's budget is spent",
    means="Calls that it covers are refused, or go on without it, as the budget says.",
    severity="page",
    threshold=1.0,
    cause="budget {scope}",
)


def _guessed_share(limits: Limits) -> Expr:
    guessed = total(increase(limits.of(catalogue.COST_ESTIMATED), DAY_S))
    known = total(increase(limits.of(catalogue.COST), DAY_S))
    return (ratio(guessed, known + guessed) > limits.threshold) & (known >= limits.minimum)


COST_ESTIMATED = Rule(
    id="cost_estimated",
    number="AL-19",
    title="What is spent is not known well",
    says="{value} of the last day's cost is an estimate: attempts broke before the API said what they used.",
    means="The invoice may say something else than the ledger.",
    next="headgate cost --by workflow",
    asks=_guessed_share,
    unit="share",
    severity="ticket",
    threshold=0.02,
    minimum=1.0,
)
COST_RISE = Rule(
    id="cost_rise",
    number="AL-10",
    title="Spending is out of line",
    says="Spending ({scope}) lies {value} times as far above what this hour should cost as such hours scatter.",
    means="More calls, larger ones, or less of them from the cache than on other days of this kind.",
    next="headgate report",
    asks=lambda limits: largest(limits.of(catalogue.COST_RISE), "scope") > limits.threshold,
    unit="times",
    severity="ticket",
    threshold=1.0,
    per="scope",
    detail=Detail(
        "{value} in the last hour: {workflow}",
        lambda labels: Top(3, total(increase(metric(catalogue.COST.name), 3600), "workflow")) > 0,
        "usd",
    ),
    examples=Examples(catalogue.COST_RISE, "{amount} more than in this hour a week ago: {what}", 600.0, "usd"),
)
COST_RISE_STEEP = replace(
    COST_RISE,
    id="cost_rise_steep",
    title="Spending is far out of line",
    severity="page",
    threshold=3.0,
    runbook="cost_rise",
)
COST_FALLEN = Rule(
    id="cost_fallen",
    number="AL-11",
    title="Spending has collapsed",
    says="Two hours ({scope}) cost less than a fifth of what they should.",
    means="Traffic is lost, or it is not metered.",
    next="headgate report",
    asks=lambda limits: largest(limits.of(catalogue.COST_FALLEN), "scope") > limits.threshold,
    unit="count",
    severity="ticket",
    threshold=0,
    per="scope",
)
LEDGER_DRIFT = Rule(
    id="ledger_drift",
    number="AL-18",
    title="The ledger differs from the API's own report",
    says="The API's report of a day differs from the ledger by {value}; {threshold} is tolerated.",
    means="Something spends that Headgate does not see, or it counts wrong.",
    next="headgate cost reconcile",
    asks=lambda limits: largest(limits.of(catalogue.LEDGER_DRIFT)) > limits.threshold,
    unit="share",
    severity="page",
    threshold=0.01,
)
UNKNOWN_PRICE = Rule(
    id="unknown_price",
    number="AL-20",
    title="Something has no price",
    says="{value:call} of {workflow} in the last hour ended without a known cost.",
    means="They are missing in every sum and budget.",
    next="headgate prices",
    asks=lambda limits: grown(limits.of(catalogue.UNPRICED), 3600, "workflow") > limits.threshold,
    unit="count",
    severity="ticket",
    threshold=0,
    per="workflow",
)
UNKNOWN_MODEL = Rule(
    id="unknown_model",
    number="AL-20",
    title="A model is asked that has no price",
    says="{value:call} in the last hour named a model without a price; none was sent.",
    means="A misspelled name, or a model that is newer than the price book.",
    next="headgate prices",
    asks=lambda limits: grown(limits.of(catalogue.REJECTIONS, reason="no_price"), 3600) > limits.threshold,
    unit="count",
    severity="ticket",
    threshold=0,
    runbook="unknown_price",
)


RULES: tuple[Rule, ...] = (
    CACHED_SHARE,
    TOKEN_OUTLIER,
    TOKEN_OUTLIERS,
    DAILY_SPEND_AHEAD,
    DAILY_SPEND,
    MONTHLY_BUDGET_50,
    MONTHLY_BUDGET_80,
    MONTHLY_BUDGET_90,
    MONTHLY_BUDGET_100,
    COST_ESTIMATED,
    COST_RISE,
    COST_RISE_STEEP,
    COST_FALLEN,
    LEDGER_DRIFT,
    UNKNOWN_PRICE,
    UNKNOWN_MODEL,
)
