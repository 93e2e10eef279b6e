"""Every metric there is: its name, what it means, its labels and their values.  docs/reference/metrics.md prints this.

No label holds what callers make up without a bound: its values are a closed list, or those that are configured and, of
some, the first so many that come; whatever else comes is `other`.  Never a user, a session, a key or an id.

Not here is what Headgate does not do yet, because a metric without a source stays at zero and would be taken for good
news: jobs of its own, webhooks for results, validation of output, signals of injection, settings that are loaded again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headgate.events import ErrorClass, Outcome, Reason
from headgate.safety.finding_type import FindingType

__all__ = ["METRICS", "OTHER", "Label", "Metric"]

OTHER = "other"
"""Stands for values beyond those that a label may have."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Label:
    """What tells the series of a metric apart."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    """All that there are, beside `other`; empty: those that are configured, and the first that come."""
    first_come: int = 0
    """How many may come, where values are not closed."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Metric:
    """One metric, in Prometheus' sense: base units, and the unit last in the name."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[Label, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram's buckets, each inclusive."""
    unit: str = ""
    """As OpenTelemetry writes it (UCUM), where the name does not end in one."""
    scale: float = 1.0
    """What one of the unit that is added up is in the unit that is told: money is added up in whole pico-dollars."""
    born_with: Label | None = None
    """A series comes into being together with those of this label's other values, at zero.  What comes into being at
    one has, for whoever computes a rate, never grown."""


_ERRORS = tuple([each.value for each in ErrorClass])

# -- labels ------------------------------------------------------------------------------------------------------------

WORKFLOW = Label(
    name="workflow",
    meaning="The tool or feature a call was made for: the configured ones, `unset`, and the first hundred others.",
    first_come=100,
)
LANE = Label(name="lane", meaning="A configured lane; `none`: the call was refused before it had one.")
OUTCOME = Label(
    name="outcome",
    meaning="How a call ended: the outcomes of errors.md, but that a call for which a budget had no room is `budget`, "
    "and one that passes the limit of its user or session `rate`.",
    values=(*(each.value for each in Outcome if each is not Outcome.CRASHED), "budget"),
)
MODEL = Label(
    name="model",
    meaning="The id of a model that is known here or has a price, an alias counted as what it stands for; `none`: "
    "there is none.",
)
POOL = Label(
    name="pool",
    meaning="The limits that calls draw on: models that share them are one pool, as in limits.md, and so is each "
    "kind of call that is no message.",
)
CLASS = Label(
    name="class",
    meaning="How an attempt ended: `ok`, or an error class of errors.md.",
    values=("ok", *_ERRORS),
)
ATTEMPTS_MADE = Label(name="attempts", meaning="Attempts that were made.", values=("1", "2", "3", "4plus"))
REASON = Label(name="reason", meaning="A reason of errors.md.", values=tuple([each.value for each in Reason]))
ERROR = Label(name="reason", meaning="The error class of the attempt that failed, as in errors.md.", values=_ERRORS)
TROUBLE = Label(
    name="reason",
    meaning="What was wrong: the error class of the attempt that failed, as in errors.md; `refusal` if the model "
    "declined, `not_sent` if Headgate did not send the call.",
    values=(*_ERRORS, "refusal", "not_sent"),
)
FROM_MODEL = Label(name="from_model", meaning="The model that was asked for, as `model`.")
TO_MODEL = Label(
    name="to_model",
    meaning="The model that answered instead, as `model`; `stale`, `canned` or `queued` if none did.",
)
TOKEN_KIND = Label(
    name="kind",
    meaning="Claude's own disjoint kinds: a token is counted in one of them.",
    values=("input", "cache_read", "cache_write_5m", "cache_write_1h", "output"),
)
ESTIMATE = Label(name="kind", meaning="Of which tokens the estimate was.", values=("input", "output"))
TIER = Label(name="tier", meaning="The service tier, as the API said.", values=("standard", "batch", "priority"))
STOP_REASON = Label(
    name="stop_reason",
    meaning="Why the model stopped, as the API said.",
    values=(
        "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "compaction",
        "model_context_window_exceeded",
    ),
)  # fmt: skip
FINDING = Label(name="type", meaning="What was found.", values=tuple(FindingType))
FINDING_ACTION = Label(
    name="action",
    meaning="`scrubbed`: a placeholder is kept in its place; `kept`: the workflow keeps text as it is.",
    values=("scrubbed", "kept"),
)
CATEGORY = Label(
    name="category",
    meaning="The category of a refusal, as the API said; `none`: it said none.",
    values=("cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms", "none"),
)
BREAKPOINT = Label(
    name="result",
    meaning="`placed`: Headgate put it there.",
    values=("placed",),
)
COUNTED = Label(name="outcome", meaning="What came of it.", values=("counted", "failed", "timeout"))
UNKNOWN = Label(
    name="reason",
    meaning="A reason of errors.md, or `admin_token`: the operators' port was asked without its token.",
    values=(Reason.CALLER_UNKNOWN.value, Reason.NOT_ALLOWED.value, "admin_token"),
)

DIMENSION = Label(
    name="dimension",
    meaning="Requests, input tokens without cache reads, output tokens; each a minute.",
    values=("rpm", "itpm", "otpm"),
)
SLOT = Label(
    name="credential_slot",
    meaning="Which of our API keys, in the order of the settings: `1` is that of `[upstream]`.",
    values=("1", "2", "3", "4", "5", "6", "7", "8"),
)
SCOPE = Label(
    name="scope",
    meaning="A configured budget, the first 64 in the order of the settings; `other`: all that follow, added up.",
)
COST_SCOPE = Label(
    name="scope",
    meaning="`all`, or `workflow:NAME` of one of the sixteen dearest of the last week.",
    first_come=64,
)
WINDOW = Label(
    name="window",
    meaning="For how long the budget is.",
    values=("call", "session", "hour", "day", "week", "month"),
)
BATCH_STATE = Label(
    name="state",
    meaning="`collecting`: waits for more calls; `under_way`: is being made, or the API works on it.",
    values=("collecting", "under_way"),
)
BATCH_RESULT = Label(
    name="result",
    meaning="What the API said of an item; `missing`: nothing came of it in time.",
    values=("succeeded", "errored", "canceled", "expired", "missing"),
)
STORE = Label(name="store", meaning="What is written to.", values=("ledger",))
OPERATION = Label(
    name="op",
    meaning="`journal`: the file that is written before anything is sent; `commit`: the database behind it.",
    values=("journal", "commit"),
)
SIGNAL = Label(
    name="signal",
    meaning="What was to be written or sent; of metrics, how often.",
    values=("log", "content", "spans", "metrics", "history", "series", "alerts"),
)
VERSION = Label(name="version", meaning="Of Headgate.", first_come=1)
PYTHON = Label(name="python", meaning="Of Python.", first_come=1)
VERSION_SHORT = Label(
    name="version_short",
    meaning="The same for the same settings: eight digits of a digest, secrets left out.",
    first_come=1,
)

RULE = Label(name="alert", meaning="An alert rule, by its id.", first_come=64)
SENDER = Label(name="sender", meaning="A receiver of alerts, by its name in the settings.", first_come=16)
DELIVERED = Label(
    name="result",
    meaning="`sent`; `retried`: a try that failed; `given_up`: the last one too; `dropped`: too many waited.",
    values=("sent", "retried", "given_up", "dropped"),
)

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 9.0, 12.0, 18.0, 25.0, 40.0, 60.0, 90.0, 120.0, 240.0, 360.0, 600.0)
"""18, 240 and 600 are thresholds of people's patience and of proxies."""
_OWN_SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_RATIOS = (0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0)
_PICO = 1e-12

# -- calls -------------------------------------------------------------------------------------------------------------

REQUESTS = Metric(
    name="headgate_requests_total",
    kind="counter",
    help="Calls that are over, each once.",
    labels=(WORKFLOW, LANE, OUTCOME),
    born_with=OUTCOME,
)
REQUESTS_BY_MODEL = Metric(
    name="headgate_requests_by_model_total",
    kind="counter",
    help="Messages that are over, by the model that answered or, where none did, that was asked for.",
    labels=(MODEL, OUTCOME),
    born_with=OUTCOME,
)
DURATION = Metric(
    name="headgate_request_duration_seconds",
    kind="histogram",
    help="From a call's begin to its last byte, waits included; without calls that Headgate refused.",
    labels=(WORKFLOW, LANE),
    bounds=_SECONDS,
)
TTFT = Metric(
    name="headgate_ttft_seconds",
    kind="histogram",
    help="From a call's begin to the first content of its stream.",
    labels=(MODEL, LANE),
    bounds=_SECONDS,
)
UPSTREAM_DURATION = Metric(
    name="headgate_upstream_duration_seconds",
    kind="histogram",
    help="From sending an attempt to the end of its answer.",
    labels=(MODEL,),
    bounds=_SECONDS,
)
OVERHEAD = Metric(
    name="headgate_overhead_seconds",
    kind="histogram",
    help="Headgate's own time for a call that was sent: what is left without waiting and without the API.",
    labels=(LANE,),
    bounds=_OWN_SECONDS,
)
QUEUE_WAIT = Metric(
    name="headgate_queue_wait_seconds",
    kind="histogram",
    help="Waiting for the account's limits, over all attempts of a call that was sent.",
    labels=(LANE,),
    bounds=_SECONDS,
)
DECISIONS = Metric(
    name="headgate_decisions_total",
    kind="counter",
    help="Calls that Headgate refused, delayed, repeated or answered otherwise, each reason once a call.",
    labels=(REASON, LANE),
)
REJECTIONS = Metric(
    name="headgate_rejections_total",
    kind="counter",
    help="Calls that Headgate refused before anything was sent.",
    labels=(LANE, REASON),
    born_with=REASON,
)
AUTH_FAILURES = Metric(
    name="headgate_auth_failures_total",
    kind="counter",
    help="Requests without a credential that is known here, or beyond what it may.",
    labels=(UNKNOWN,),
    born_with=UNKNOWN,
)

# -- attempts ----------------------------------------------------------------------------------------------------------

ATTEMPTS = Metric(
    name="headgate_attempts_total",
    kind="counter",
    help="Trips to the API; of one that calls shared, each has its part.  `model` is the model that was asked; of a "
    "call that is no message its pool.",
    labels=(MODEL, CLASS),
    born_with=CLASS,
)
SUCCESS_BY_ATTEMPTS = Metric(
    name="headgate_success_by_attempts_total",
    kind="counter",
    help="Calls that the API answered well, by the attempts that took.",
    labels=(WORKFLOW, ATTEMPTS_MADE),
    born_with=ATTEMPTS_MADE,
)
RETRIES = Metric(
    name="headgate_retries_total",
    kind="counter",
    help="Attempts that failed and were followed by another.",
    labels=(MODEL, ERROR),
    born_with=ERROR,
)
RETRIES_DENIED = Metric(
    name="headgate_retries_denied_total",
    kind="counter",
    help="Attempts that failed and were not followed by another, and why not.",
    labels=(MODEL, REASON),
)
FALLBACKS = Metric(
    name="headgate_fallbacks_total",
    kind="counter",
    help="Calls that got another answer than the one that was asked for.",
    labels=(WORKFLOW, FROM_MODEL, TO_MODEL, TROUBLE),
    born_with=TROUBLE,
)
PROMPT_COUNTS = Metric(
    name="headgate_prompt_counts_total",
    kind="counter",
    help="Large prompts that the API was asked to count before admission.",
    labels=(COUNTED,),
    born_with=COUNTED,
)

# -- tokens and money --------------------------------------------------------------------------------------------------

TOKENS = Metric(
    name="headgate_tokens_total",
    kind="counter",
    help="Tokens, as the API counted them.",
    labels=(WORKFLOW, TOKEN_KIND),
    born_with=TOKEN_KIND,
)
TOKENS_BY_MODEL = Metric(
    name="headgate_tokens_by_model_total",
    kind="counter",
    help="The same tokens, by the model that answered.",
    labels=(MODEL, TOKEN_KIND),
    born_with=TOKEN_KIND,
)
ESTIMATE_ERROR = Metric(
    name="headgate_tokens_estimate_error_ratio",
    kind="histogram",
    help="Tokens that the limits counted of an answer, divided by those it was admitted for.",
    labels=(POOL, ESTIMATE),
    bounds=_RATIOS,
)
TOKEN_OUTLIERS = Metric(
    name="headgate_token_outliers_total",
    kind="counter",
    help="Calls with more than twice the tokens that calls of their workflow had on average, over a week.",
    labels=(WORKFLOW,),
)
COST = Metric(
    name="headgate_cost_usd_total",
    kind="counter",
    help="What calls cost, as the ledger has it.",
    labels=(WORKFLOW,),
    scale=_PICO,
)
COST_BY_MODEL = Metric(
    name="headgate_cost_by_model_usd_total",
    kind="counter",
    help="The same cost, by the model that answered.",
    labels=(MODEL, TIER),
    scale=_PICO,
)
COST_ESTIMATED = Metric(
    name="headgate_cost_estimated_usd_total",
    kind="counter",
    help="Expected cost of attempts of which nothing tells what they used; not in the cost.",
    labels=(WORKFLOW,),
    scale=_PICO,
)
UNPRICED = Metric(
    name="headgate_unpriced_requests_total",
    kind="counter",
    help="Calls whose cost is not known, because the price book has none for a part of it.",
    labels=(WORKFLOW,),
)
STOP_REASONS = Metric(
    name="headgate_stop_reasons_total",
    kind="counter",
    help="Answers, by why the model stopped.",
    labels=(WORKFLOW, STOP_REASON),
    born_with=STOP_REASON,
)
REFUSALS = Metric(
    name="headgate_refusals_total",
    kind="counter",
    help="Calls that the model declined.",
    labels=(WORKFLOW, CATEGORY),
    born_with=CATEGORY,
)
PII_FINDINGS = Metric(
    name="headgate_pii_findings_total",
    kind="counter",
    help="Personal data and secrets found in text that is kept, and what was done with them.",
    labels=(WORKFLOW, FINDING, FINDING_ACTION),
)
CACHE_BREAKPOINTS = Metric(
    name="headgate_cache_breakpoints_total",
    kind="counter",
    help="Cache markers on prompts that were sent.",
    labels=(WORKFLOW, BREAKPOINT),
)

BATCH_ITEMS = Metric(
    name="headgate_batch_items_total",
    kind="counter",
    help="Calls that Headgate asked in a Message Batch, by what became of them there.",
    labels=(BATCH_RESULT,),
    born_with=BATCH_RESULT,
)

# -- admission: looked up when somebody looks --------------------------------------------------------------------------

QUEUE_DEPTH = Metric(
    name="headgate_queue_depth",
    kind="gauge",
    help="Calls that wait for the account's limits.",
    labels=(LANE,),
)
QUEUE_AGE = Metric(
    name="headgate_queue_oldest_age_seconds",
    kind="gauge",
    help="How long the longest of them has waited; 0 while nobody waits, or the lane is closed.",
    labels=(LANE,),
)
INFLIGHT = Metric(
    name="headgate_inflight",
    kind="gauge",
    help="Attempts that are under way to the API.",
    labels=(LANE,),
)
LIMIT_CAPACITY = Metric(
    name="headgate_limit_capacity",
    kind="gauge",
    help="What the account may use a minute, as far as is known, of all API keys together.",
    labels=(POOL, DIMENSION),
)
LIMIT_USED = Metric(
    name="headgate_limit_used",
    kind="gauge",
    help="What was used of it in the last minute.",
    labels=(POOL, DIMENSION),
)
LIMIT_RESERVED = Metric(
    name="headgate_limit_reserved",
    kind="gauge",
    help="What attempts under way hold; a part of what was used.",
    labels=(POOL, DIMENSION),
)
UPSTREAM_REMAINING = Metric(
    name="headgate_upstream_limit_remaining",
    kind="gauge",
    help="What is left in the API's own bucket, as response headers said last; the least of all API keys.",
    labels=(POOL, DIMENSION),
)
UPSTREAM_STALE = Metric(
    name="headgate_upstream_limit_stale",
    kind="gauge",
    help="1 if headers have said nothing of it for more than a minute.",
    labels=(POOL, DIMENSION),
)
NOT_BEFORE = Metric(
    name="headgate_not_before_seconds",
    kind="gauge",
    help="For how long nothing goes to a pool, because the API asked for time or kept failing.",
    labels=(POOL,),
)
BREAKER = Metric(
    name="headgate_breaker_state",
    kind="gauge",
    help="0 closed, 1 half open: now and then a call goes to see whether the API is back, 2 open: none goes.",
    labels=(POOL, SLOT),
)
BATCHES = Metric(
    name="headgate_batches",
    kind="gauge",
    help="Message Batches that Headgate makes of calls.",
    labels=(BATCH_STATE,),
)

# -- budgets and the ledger --------------------------------------------------------------------------------------------

COST_BASELINE = Metric(
    name="headgate_cost_baseline_usd",
    kind="gauge",
    help="What this hour should cost, by hours of days of its own kind; not there while too little is known.",
    labels=(COST_SCOPE,),
    scale=_PICO,
)
COST_BAND = Metric(
    name="headgate_cost_baseline_band_usd",
    kind="gauge",
    help="How far such hours scatter around it.",
    labels=(COST_SCOPE,),
    scale=_PICO,
)
COST_RISE = Metric(
    name="headgate_cost_rise_bands",
    kind="gauge",
    help="How many bands spending lies above that, by two closed hours, the day so far or the last ten minutes; 0 "
    "while it is in line.",
    labels=(COST_SCOPE,),
)
COST_FALLEN = Metric(
    name="headgate_cost_fallen",
    kind="gauge",
    help="1: two closed hours cost less than a fifth of what they should.",
    labels=(COST_SCOPE,),
)
BUDGET_CAP = Metric(
    name="headgate_budget_cap_usd",
    kind="gauge",
    help="What a budget allows in its window.",
    labels=(SCOPE, WINDOW),
    scale=_PICO,
)
BUDGET_SETTLED = Metric(
    name="headgate_budget_settled_usd",
    kind="gauge",
    help="What is spent of it in the window that is now; of a budget that is split, by the fullest of its parts.",
    labels=(SCOPE, WINDOW),
    scale=_PICO,
)
BUDGET_HELD = Metric(
    name="headgate_budget_held_usd",
    kind="gauge",
    help="What is set aside of it for calls under way, and for other processes; likewise.",
    labels=(SCOPE, WINDOW),
    scale=_PICO,
)
RESERVATIONS = Metric(
    name="headgate_reservations_open",
    kind="gauge",
    help="Attempts that were written down before they were sent and are not over.",
)
RESERVATION_AGE = Metric(
    name="headgate_reservation_oldest_age_seconds",
    kind="gauge",
    help="How long ago the oldest of them began; 0 if there is none.",
)
LEDGER_BACKLOG = Metric(
    name="headgate_ledger_backlog_bytes",
    kind="gauge",
    help="Rows in the ledger's journal that are not in its database yet.",
)
DISK_USED = Metric(
    name="headgate_disk_used_ratio",
    kind="gauge",
    help="Of the file system that the ledger is on; asked by the gateway only.",
)
LEDGER_DRIFT = Metric(
    name="headgate_ledger_reconcile_drift_ratio",
    kind="gauge",
    help="By how much the API's own report of a day differed from the ledger: of the newest day of the last week that "
    "headgate cost reconcile has corrected; 0 if there is none.",
)
STORE_ERRORS = Metric(
    name="headgate_store_errors_total",
    kind="counter",
    help="Writes that failed; of the ledger each is tried again until it works, or refuses the call.",
    labels=(STORE, OPERATION),
)

# -- Headgate itself ---------------------------------------------------------------------------------------------------

SERIES_DROPPED = Metric(
    name="headgate_series_dropped_total",
    kind="counter",
    help="Values that were booked under `other`, because their label or all metrics together have as many series as "
    "they may.",
)

TELEMETRY_DROPPED = Metric(
    name="headgate_telemetry_dropped_total",
    kind="counter",
    help="Lines, texts, spans and samples that could not be written or sent, and were given up.",
    labels=(SIGNAL,),
)
LOOP_LAG = Metric(
    name="headgate_event_loop_lag_seconds",
    kind="gauge",
    help="How long something waited for its turn in the process, the longest of late; calls feel a tenth of a second.",
)
BUILD_INFO = Metric(
    name="headgate_build_info",
    kind="gauge",
    help="Always 1.",
    labels=(VERSION, PYTHON),
)
UPTIME = Metric(
    name="headgate_uptime_seconds",
    kind="gauge",
    help="How long the process has run.",
)
CONFIG_INFO = Metric(
    name="headgate_config_info",
    kind="gauge",
    help="Always 1.",
    labels=(VERSION_SHORT,),
)


# -- alerts ------------------------------------------------------------------------------------------------------------

ALERT_STATE = Metric(
    name="headgate_alert_state",
    kind="gauge",
    help="0 ok, 1 pending, 2 firing, 3 nothing is measured that the rule goes by.",
    labels=(RULE,),
)
EVALUATIONS = Metric(
    name="headgate_alert_evaluations_total",
    kind="counter",
    help="Times that all rules were evaluated by this process.",
)
NOTIFICATIONS = Metric(
    name="headgate_notifications_total",
    kind="counter",
    help="What was told of alerts, by receiver.",
    labels=(SENDER, DELIVERED),
    born_with=DELIVERED,
)
NOTIFICATION_AGE = Metric(
    name="headgate_notification_oldest_age_seconds",
    kind="gauge",
    help="How long the oldest notification has waited that its receiver has not taken; 0 if there is none.",
    labels=(SENDER,),
)

METRICS: tuple[Metric, ...] = tuple(each for each in list(globals().values()) if isinstance(each, Metric))
"""In the order in which they stand here."""
