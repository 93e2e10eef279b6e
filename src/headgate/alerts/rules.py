"""Every rule that ships.  `[alerts.rules.ID]` changes one.

Not here are those that wait for what they would look at: jobs and webhooks (AL-23, AL-24), output validation (AL-21),
the ledger against the API's own report (AL-18), a log that is swept for secrets (AL-27), injection signals (AL-28),
settings that are loaded again (AL-29).  An alert whose metric does not exist could never fire, and would be taken for
silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headgate.alerts.expr import (
    Expr,
    Matcher,
    Number,
    Selector,
    Top,
    increase,
    largest,
    metric,
    one_of,
    quantile,
    ratio,
    total,
)
from headgate.alerts.rule import HOUR_S, Detail, Limits, Rule
from headgate.alerts.samples import Labels
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.metrics.catalogue import Metric

__all__ = ["RULES"]

DAY_S = 24 * HOUR_S
FAILED = one_of("upstream_error", "timeout", "truncated", "internal")
JUDGED = Matcher("!~", "client_error|budget|rate|cancelled")
"""Outcomes that say something about the service: not a caller's own mistake, limit or change of mind."""


def _grown(counter: Selector, window_s: float, *by: str) -> Expr:
    """How much a counter of rare events grew.  The first event brings its series along, which no difference shows: a
    series that was not there counts whole, if it is known that it was not there, and not only that nobody looked."""
    looked = largest(metric(catalogue.BUILD_INFO.name).back(window_s))
    young = largest(metric(catalogue.UPTIME.name)) < window_s
    born = counter.unless(counter.back(window_s)).when(looked | young)
    return total(born | increase(counter, window_s), *by)


# -- calls that fail ---------------------------------------------------------------------------------------------------


def _judged(limits: Limits, window_s: float) -> Expr:
    return total(increase(limits.of(catalogue.REQUESTS, outcome=JUDGED), window_s))


def _failed(limits: Limits, window_s: float) -> Expr:
    """While a breaker is open calls are refused instead of failing: to whoever made them it is the same."""
    failed = total(increase(limits.of(catalogue.REQUESTS, outcome=FAILED), window_s))
    refused = total(increase(limits.of(catalogue.REJECTIONS, reason="breaker_open"), window_s))
    return (failed | Number(0)) + (refused | Number(0))


def _failed_share(limits: Limits, window_s: float) -> Expr:
    return ratio(_failed(limits, window_s), _judged(limits, window_s))


def _failing(limits: Limits) -> Expr:
    """Over ten minutes and still over five.  Of few calls, three that failed are enough."""
    enough = (_judged(limits, 600) >= limits.minimum) | (_failed(limits, 600) >= 3)
    long, short = (_failed_share(limits, window_s) > limits.threshold for window_s in (600, 300))
    return long & short & enough


def _burning(long_s: float, short_s: float) -> Callable[[Limits], Expr]:
    def asks(limits: Limits) -> Expr:
        long, short = (_failed_share(limits, window_s) > limits.threshold for window_s in (long_s, short_s))
        return long & short & (_judged(limits, long_s) >= limits.minimum)

    return asks


def _most_failed(labels: Labels) -> Expr:
    failed = increase(metric(catalogue.REQUESTS.name, outcome=FAILED), 600)
    return Top(3, total(failed, "workflow", "outcome")) > 0


_FAILED_DETAIL = Detail("{value} in {workflow}: {outcome}", _most_failed, "count")

ERROR_RATE = Rule(
    id="error_rate",
    number="AL-01",
    title="Calls fail",
    says="{value} of calls failed in the last ten minutes; {threshold} is tolerated.",
    means="Callers get errors, after everything that Headgate tried.",
    next="headgate report",
    asks=_failing,
    unit="share",
    severity="ticket",
    threshold=0.01,
    minimum=100,
    for_s=300,
    detail=_FAILED_DETAIL,
)
ERROR_RATE_HIGH = replace(
    ERROR_RATE, id="error_rate_high", title="Many calls fail", severity="page", threshold=0.05, runbook="error_rate"
)
SLO_BURN_FAST = Rule(
    id="slo_burn_fast",
    number="AL-02",
    title="A month's errors are used up in two days",
    says="{value} of calls failed in the last hour: more than 14 times what 99 % success leaves.",
    means="2 % of what may fail in a month failed in an hour.",
    next="headgate limits",
    asks=_burning(3600, 300),
    unit="share",
    severity="page",
    threshold=0.144,
    minimum=100,
    for_s=120,
    detail=_FAILED_DETAIL,
    runbook="slo_burn",
)
SLO_BURN_SLOW = replace(
    SLO_BURN_FAST,
    id="slo_burn_slow",
    title="A month's errors are used up in five days",
    says="{value} of calls failed in the last six hours: more than six times what 99 % success leaves.",
    means="5 % of what may fail in a month failed in six hours.",
    asks=_burning(6 * HOUR_S, 1800),
    threshold=0.06,
    for_s=900,
)
SLO_BURN_STEADY = replace(
    SLO_BURN_FAST,
    id="slo_burn_steady",
    title="More fails than a month allows",
    says="{value} of calls failed in the last three days; 99 % success leaves {threshold}.",
    means="If it goes on, the month ends below the objective.",
    asks=_burning(3 * DAY_S, 6 * HOUR_S),
    severity="ticket",
    threshold=0.01,
    for_s=3600,
)


def _outcome_share(what: Metric, labels: dict[str, str], window_s: float) -> Callable[[Limits], Expr]:
    """Of a workflow's values of a counter, those with these labels."""

    def asks(limits: Limits) -> Expr:
        whole = total(increase(limits.of(what), window_s), "workflow")
        part = total(increase(limits.of(what, **labels), window_s), "workflow")
        return (ratio(part, whole) > limits.threshold) & (whole >= limits.minimum)

    return asks


REFUSALS = Rule(
    id="refusals",
    number="AL-22",
    title="The model declines",
    says="{value} of the calls of {workflow} were declined by the model in the last hour.",
    means="Users get no answer.  A new prompt, or somebody who tries what the model must not do.",
    next="headgate cost --by workflow",
    asks=_outcome_share(catalogue.REQUESTS, {"outcome": "refused"}, 3600),
    unit="share",
    severity="ticket",
    threshold=0.01,
    per="workflow",
    minimum=100,
    for_s=600,
)
TRUNCATION = Rule(
    id="truncation",
    number="AL-22",
    title="Answers are cut",
    says="{value} of the answers of {workflow} ended at max_tokens in the last hour.",
    means="Users get half an answer, programs half a JSON.",
    next="headgate cost max-tokens",
    asks=_outcome_share(catalogue.STOP_REASONS, {"stop_reason": "max_tokens"}, 3600),
    unit="share",
    severity="ticket",
    threshold=0.01,
    per="workflow",
    minimum=100,
    for_s=600,
)

# -- calls that are slow -----------------------------------------------------------------------------------------------


def _count(histogram: Selector) -> Selector:
    return replace(histogram, name=f"{histogram.name}_count")


def _interactive_slow(limits: Limits) -> Expr:
    interactive = limits.of(catalogue.DURATION, lane="interactive")
    old = largest(limits.of(catalogue.QUEUE_AGE)) > OLD_S
    enough = total(increase(_count(interactive), 300)) >= limits.minimum
    return (quantile(0.95, interactive, 300) > limits.threshold) & old & enough


OLD_S = 240.0
INTERACTIVE_SLOW = Rule(
    id="interactive_slow",
    number="AL-03",
    title="People wait while a queue is old",
    says="95 % of interactive calls took up to {value} ({threshold} is tolerated), and a call has waited for over "
    "240 s.",
    means="The account's limits do not carry what is asked of them, and people feel it.",
    next="headgate limits",
    asks=_interactive_slow,
    unit="seconds",
    severity="page",
    threshold=18.0,
    minimum=20,
    for_s=120,
    detail=Detail(
        "{value} waits the oldest call of lane {lane}",
        lambda labels: Top(3, largest(metric(catalogue.QUEUE_AGE.name), "lane")) > 0,
        "seconds",
    ),
)


def _slow_workflow(share: float) -> Callable[[Limits], Expr]:
    def asks(limits: Limits) -> Expr:
        took = limits.of(catalogue.DURATION)
        enough = total(increase(_count(took), 600), "workflow") >= limits.minimum
        return (quantile(share, took, 600, "workflow") > limits.threshold) & enough

    return asks


WORKFLOW_P95 = Rule(
    id="workflow_p95",
    number="AL-04",
    title="A workflow is slow",
    says="95 % of the calls of {workflow} took up to {value} in the last ten minutes; {threshold} is tolerated.",
    means="One call in twenty takes longer than that.",
    next="headgate limits",
    asks=_slow_workflow(0.95),
    unit="seconds",
    severity="ticket",
    threshold=60.0,
    per="workflow",
    minimum=20,
    for_s=600,
    runbook="workflow_slow",
)
WORKFLOW_P99 = replace(
    WORKFLOW_P95,
    id="workflow_p99",
    title="A workflow's slowest calls are slow",
    says="99 % of the calls of {workflow} took up to {value} in the last ten minutes; {threshold} is tolerated.",
    means="One call in a hundred takes longer than that.",
    asks=_slow_workflow(0.99),
    threshold=180.0,
    minimum=100,
)


def _slower_than_a_week_ago(limits: Limits) -> Expr:
    took = limits.of(catalogue.DURATION)
    then = took.back(7 * DAY_S)
    enough = total(increase(_count(took), 3600), "workflow") >= limits.minimum
    enough_then = total(increase(_count(then), 3600), "workflow") >= limits.minimum
    slower = ratio(quantile(0.99, took, 3600, "workflow"), quantile(0.99, then, 3600, "workflow"))
    return (slower > limits.threshold) & enough & enough_then


WORKFLOW_DRIFT = Rule(
    id="workflow_drift",
    number="AL-04",
    title="A workflow has become slower",
    says="99 % of the calls of {workflow} took up to {value} times as long as in the same hour a week ago.",
    means="Nobody has complained yet.",
    next="headgate cost --by workflow",
    asks=_slower_than_a_week_ago,
    unit="times",
    severity="ticket",
    threshold=2.0,
    per="workflow",
    minimum=100,
    for_s=900,
    runbook="workflow_slow",
)
QUEUE_AGE = Rule(
    id="queue_age",
    number="AL-14",
    title="Calls wait too long",
    says="A call in lane {lane} has waited for {value}; {threshold} is meant.",
    means="More is asked than the account's limits allow.",
    next="headgate limits",
    asks=lambda limits: largest(limits.of(catalogue.QUEUE_AGE), "lane") > limits.threshold,
    unit="seconds",
    severity="ticket",
    threshold=240.0,
    thresholds={"interactive": 10.0, "bulk": 4 * HOUR_S},
    per="lane",
    for_s=60,
)

# -- what Headgate does about it ---------------------------------------------------------------------------------------


def _retried(limits: Limits) -> Expr:
    def share(window_s: float) -> Expr:
        again = increase(limits.of(catalogue.SUCCESS_BY_ATTEMPTS, attempts=Matcher("!=", "1")), window_s)
        return ratio(total(again), total(increase(limits.of(catalogue.SUCCESS_BY_ATTEMPTS), window_s)))

    successes = total(increase(limits.of(catalogue.SUCCESS_BY_ATTEMPTS), 1800))
    return (share(1800) >= limits.threshold) & (share(300) >= limits.threshold) & (successes >= limits.minimum)


RETRIED_SUCCESS = Rule(
    id="retried_success",
    number="AL-09",
    title="Retries hide errors",
    says="{value} of the calls that succeeded in the last half hour took more than one attempt.",
    means="Callers see nothing yet but waiting; without retries as many would have failed.",
    next="headgate limits",
    asks=_retried,
    unit="share",
    severity="ticket",
    threshold=0.10,
    minimum=50,
    detail=Detail(
        "retries hide {reason} on {model}: {value} attempts",
        lambda labels: Top(3, total(increase(metric(catalogue.RETRIES.name), 1800), "model", "reason")) > 0,
        "count",
    ),
)


def _rejected(limits: Limits) -> Expr:
    calls = total(increase(limits.of(catalogue.REQUESTS), 600), "lane")
    rejected = total(increase(limits.of(catalogue.REJECTIONS), 600), "lane")
    return (ratio(rejected, calls) > limits.threshold) & (calls >= limits.minimum)


REJECTIONS_RULE = Rule(
    id="rejections",
    number="AL-12",
    title="Calls are refused",
    says="{value} of the calls in lane {lane} were refused in the last ten minutes; {threshold} is tolerated.",
    means="Headgate sent them back without trying: what they ask for is not there.",
    next="headgate limits",
    asks=_rejected,
    unit="share",
    severity="ticket",
    threshold=0.05,
    thresholds={"interactive": 0.01},
    per="lane",
    minimum=20,
    for_s=600,
    detail=Detail(
        "{value} refused: {reason}",
        lambda labels: Top(3, total(increase(metric(catalogue.REJECTIONS.name, **dict(labels)), 600), "reason")) > 0,
        "count",
    ),
)


def _fell_back(limits: Limits) -> Expr:
    calls = total(increase(limits.of(catalogue.REQUESTS), 900), "workflow")
    fallbacks = total(increase(limits.of(catalogue.FALLBACKS), 900), "workflow")
    return (ratio(fallbacks, calls) > limits.threshold) & (calls >= limits.minimum)


FALLBACKS = Rule(
    id="fallbacks",
    number="AL-13",
    title="Answers come from the second choice",
    says="{value} of the calls of {workflow} were answered by a fallback in the last quarter of an hour.",
    means="They cost and read differently from what was meant.",
    next="headgate cost --by model",
    asks=_fell_back,
    unit="share",
    severity="ticket",
    threshold=0.05,
    per="workflow",
    minimum=20,
    for_s=300,
    detail=Detail(
        "{value} from {from_model} to {to_model}: {reason}",
        lambda labels: (
            Top(
                3,
                total(
                    increase(metric(catalogue.FALLBACKS.name, **dict(labels)), 900), "from_model", "to_model", "reason"
                ),
            )
            > 0
        ),
        "count",
    ),
)


def _first(limits: Limits, what: Metric, *by: str) -> Expr:
    """What counted up in the last quarter of an hour and had not in a day.  A series that begins at one has grown too,
    though no difference shows it."""
    counter = limits.of(what)
    before = counter.back(900)
    lately = counter.unless(before) | increase(counter, 900)
    earlier = before.unless(counter.back(DAY_S)) | increase(before, DAY_S - 900)
    return (total(lately, *by) > limits.threshold).unless(total(earlier, *by) > 0)


FIRST_FALLBACK = Rule(
    id="first_fallback",
    number="AL-13",
    title="A fallback is used for the first time in a day",
    says="Calls for {from_model} were answered by {to_model}.",
    means="Whether the second choice is good enough shows now.",
    next="headgate cost --by model",
    asks=lambda limits: _first(limits, catalogue.FALLBACKS, "from_model", "to_model"),
    unit="count",
    severity="info",
    threshold=0,
    repeat_s=None,
    runbook="fallbacks",
)
NEW_REFUSAL = Rule(
    id="new_refusal",
    number="AL-22",
    title="The model declines for a reason that is new today",
    says="Calls of {workflow} were declined as {category}.",
    means="A prompt has changed, or somebody tries something.",
    next="headgate cost --by workflow",
    asks=lambda limits: _first(limits, catalogue.REFUSALS, "workflow", "category"),
    unit="count",
    severity="info",
    threshold=0,
    per="workflow",
    repeat_s=None,
    runbook="refusals",
)

# -- the account and the API -------------------------------------------------------------------------------------------

HEADROOM = Rule(
    id="headroom",
    number="AL-15",
    title="A limit is nearly used up",
    says="{value} of the {dimension} of {pool} were used, for a quarter of an hour.",
    means="The next rise of traffic waits.",
    next="headgate limits",
    asks=lambda limits: (
        largest(limits.of(catalogue.LIMIT_USED) / limits.of(catalogue.LIMIT_CAPACITY), "pool", "dimension")
        > limits.threshold
    ),
    unit="share",
    severity="ticket",
    threshold=0.9,
    per="pool",
    for_s=900,
)
BREAKER_OPEN = Rule(
    id="breaker_open",
    number="AL-16",
    title="The API keeps failing",
    says="Nothing is sent to {pool} for the moment: it kept failing.",
    means="Calls to these models fail or wait, or are answered by fallbacks.",
    next="headgate limits",
    asks=lambda limits: largest(limits.of(catalogue.BREAKER), "pool") >= limits.threshold,
    unit="count",
    severity="page",
    threshold=2,
    per="pool",
    for_s=120,
    runbook="api_down",
)


def _overloaded(limits: Limits) -> Expr:
    attempts = total(increase(limits.of(catalogue.ATTEMPTS), 300), "model")
    overloaded = total(increase(limits.of(catalogue.ATTEMPTS, **{"class": "overloaded"}), 300), "model")
    return (ratio(overloaded, attempts) > limits.threshold) & (attempts >= limits.minimum)


OVERLOADED = Rule(
    id="overloaded",
    number="AL-16",
    title="The API is overloaded",
    says="{value} of the attempts to {model} were answered with 529 in the last five minutes.",
    means="Headgate slows down and tries again; how long that carries depends on the lanes.",
    next="headgate limits",
    asks=_overloaded,
    unit="share",
    severity="page",
    threshold=0.2,
    per="model",
    minimum=20,
    for_s=60,
    runbook="api_down",
)
CREDENTIAL = Rule(
    id="credential",
    number="AL-17",
    title="The API does not take a key",
    says="{value} attempts failed in the last ten minutes: {class}.",
    means="A key is revoked, may not do this, or its account cannot pay.",
    next="headgate limits",
    asks=lambda limits: (
        _grown(
            limits.of(
                catalogue.ATTEMPTS, **{"class": one_of("authentication", "billing", "permission", "spend_limit")}
            ),
            600,
            "class",
        )
        > limits.threshold
    ),
    unit="count",
    severity="page",
    threshold=0,
)
AUTH_FAILURES = Rule(
    id="auth_failures",
    number="AL-26",
    title="Somebody tries keys",
    says="{value} requests in the last five minutes came without a key that is known here: {reason}.",
    means="An application was given a wrong key, or somebody guesses.",
    next="headgate config explain --changed",
    asks=lambda limits: total(increase(limits.of(catalogue.AUTH_FAILURES), 300), "reason") > limits.threshold,
    unit="count",
    severity="page",
    threshold=100,
    per="reason",
)

# -- tokens and money --------------------------------------------------------------------------------------------------


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
    says="{value} calls of {workflow} in the last hour had over twice the tokens of its average call.",
    means="A prompt that grew, a loop, or somebody who pastes a book.",
    next="headgate cost --by workflow",
    asks=lambda limits: _grown(limits.of(catalogue.TOKEN_OUTLIERS), 3600, "workflow") > limits.threshold,
    unit="count",
    severity="info",
    threshold=0,
    per="workflow",
    repeat_s=HOUR_S,
    runbook="token_outliers",
)


def _outlier_share(limits: Limits) -> Expr:
    calls = total(increase(limits.of(catalogue.REQUESTS), 3600), "workflow")
    outliers = _grown(limits.of(catalogue.TOKEN_OUTLIERS), 3600, "workflow")
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
UNKNOWN_PRICE = Rule(
    id="unknown_price",
    number="AL-20",
    title="Something has no price",
    says="{value} calls of {workflow} in the last hour have no known cost.",
    means="They are missing in every sum and budget.",
    next="headgate prices",
    asks=lambda limits: _grown(limits.of(catalogue.UNPRICED), 3600, "workflow") > limits.threshold,
    unit="count",
    severity="ticket",
    threshold=0,
    per="workflow",
)
UNKNOWN_MODEL = Rule(
    id="unknown_model",
    number="AL-20",
    title="A model is asked that has no price",
    says="{value} calls in the last hour named a model without a price, and were refused.",
    means="A misspelled name, or a model that is newer than the price book.",
    next="headgate prices",
    asks=lambda limits: _grown(limits.of(catalogue.REJECTIONS, reason="no_price"), 3600) > limits.threshold,
    unit="count",
    severity="ticket",
    threshold=0,
    runbook="unknown_price",
)

# -- what is kept of calls ---------------------------------------------------------------------------------------------

PII_KEPT = Rule(
    id="pii_kept",
    number="AL-28",
    title="Personal data is kept as it is",
    says="{value} findings of {type} were kept in the last hour: {workflow} keeps text unscrubbed.",
    means="Whoever reads the log reads them.",
    next="headgate config explain --changed",
    asks=lambda limits: (
        _grown(limits.of(catalogue.PII_FINDINGS, action="kept"), 3600, "workflow", "type") > limits.threshold
    ),
    unit="count",
    severity="ticket",
    threshold=0,
    per="workflow",
)

# -- Headgate itself ---------------------------------------------------------------------------------------------------

LEDGER_ERRORS = Rule(
    id="ledger_errors",
    number="AL-18",
    title="The ledger cannot be written",
    says="{value} writes of the {store} failed in the last ten minutes ({op}).",
    means="What cannot be recorded is not sent: soon every call is refused.",
    next="df -h",
    asks=lambda limits: _grown(limits.of(catalogue.STORE_ERRORS), 600, "store", "op") > limits.threshold,
    unit="count",
    severity="page",
    threshold=0,
)
RESERVATION_AGE = Rule(
    id="reservation_age",
    number="AL-18",
    title="An attempt does not end",
    says="An attempt was written down {value} ago and is not over; no call may take as long.",
    means="A leak: its money stays held, and its place taken.",
    next="headgate limits",
    asks=lambda limits: largest(limits.of(catalogue.RESERVATION_AGE)) > limits.threshold,
    unit="seconds",
    severity="page",
    threshold=8 * HOUR_S,
    for_s=300,
)
DISK_FULL = Rule(
    id="disk_full",
    number="AL-25",
    title="The ledger's disk is nearly full",
    says="{value} of the file system that the ledger is on is used.",
    means="When it is full, calls are refused: what cannot be recorded is not sent.",
    next="df -h",
    asks=lambda limits: largest(limits.of(catalogue.DISK_USED)) > limits.threshold,
    unit="share",
    severity="page",
    threshold=0.9,
    for_s=300,
)
LOOP_LAG = Rule(
    id="loop_lag",
    number="AL-25",
    title="Headgate itself is slow",
    says="Something waited {value} for its turn in the process.",
    means="Every call waits as long, again and again.",
    next="headgate limits",
    asks=lambda limits: largest(limits.of(catalogue.LOOP_LAG)) > limits.threshold,
    unit="seconds",
    severity="ticket",
    threshold=0.5,
    for_s=120,
)
TELEMETRY_DROPPED = Rule(
    id="telemetry_dropped",
    number="AL-30",
    title="Records are lost",
    says="{value} of {signal} could not be written or sent in the last quarter of an hour.",
    means="Nobody's call is the worse for it, and what is asked later has gaps.",
    next="df -h",
    asks=lambda limits: _grown(limits.of(catalogue.TELEMETRY_DROPPED), 900, "signal") > limits.threshold,
    unit="count",
    severity="ticket",
    threshold=0,
    per="signal",
)
SERIES_DROPPED = Rule(
    id="series_dropped",
    number="AL-30",
    title="More names than there is room for",
    says="{value} values were booked under `other` in the last hour.",
    means="Somebody makes up workflows, or there are more than a hundred.",
    next="headgate cost --by workflow",
    asks=lambda limits: _grown(limits.of(catalogue.SERIES_DROPPED), 3600) > limits.threshold,
    unit="count",
    severity="ticket",
    threshold=0,
    runbook="telemetry_dropped",
)
NOT_DELIVERED = Rule(
    id="not_delivered",
    number="AL-24",
    title="Somebody is not told of alerts",
    says="The receiver {sender} has not taken a notification for {value}.",
    means="Its address is wrong, or it is gone.",
    next="headgate alerts",
    asks=lambda limits: largest(limits.of(catalogue.NOTIFICATION_AGE), "sender") > limits.threshold,
    unit="seconds",
    severity="ticket",
    threshold=900,
    per="sender",
)


def _stale(limits: Limits) -> Expr:
    """Where a gateway watches itself at all."""
    rounds = total(increase(limits.of(catalogue.EVALUATIONS), 300))
    return (rounds < limits.threshold).when(largest(limits.of(catalogue.ALERT_STATE)))


EVALUATOR_STALE = Rule(
    id="evaluator_stale",
    number="AL-30",
    title="Headgate does not watch itself any more",
    says="The rules were evaluated {value} times in the last five minutes.",
    means="Only Prometheus can tell you this, and only it tells you of anything.",
    next="headgate alerts",
    asks=_stale,
    unit="count",
    severity="page",
    threshold=1,
    for_s=60,
    runbook="watchdog",
)
WATCHDOG = Rule(
    id="watchdog",
    number="AL-30",
    title="Alerts are watched",
    says="This is always told.  When it stops, alerts do not reach you.",
    means="For a receiver that wakes somebody when nothing comes.",
    next="headgate alerts",
    asks=lambda limits: Number(1),
    unit="count",
    severity="none",
    threshold=0,
    repeat_s=300,
)

RULES: tuple[Rule, ...] = tuple(each for each in list(globals().values()) if isinstance(each, Rule))
"""In the order in which they stand here."""
