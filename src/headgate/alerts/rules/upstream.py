"""The account, its keys and limits, and the API behind them."""

from __future__ import annotations

from headgate.alerts.expr import Expr, metric, one_of
from headgate.alerts.functions import Top, increase, largest, ratio, total
from headgate.alerts.rule import HOUR_S, Detail, Examples, Limits, Rule
from headgate.alerts.rules.questions import grown
from headgate.telemetry.metrics import catalogue

__all__ = ["RULES"]

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
    cause="waiting",
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
    cause="api_down",
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
    cause="api_down",
)
CREDENTIAL = Rule(
    id="credential",
    number="AL-17",
    title="The API does not take a key",
    says="{value:attempt} failed in the last ten minutes: {class}.",
    means="A key is revoked, may not do this, or its account cannot pay.",
    next="headgate limits",
    asks=lambda limits: (
        grown(
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
    cause="api_down",
)
AUTH_FAILURES = Rule(
    id="auth_failures",
    number="AL-26",
    title="Somebody tries keys",
    says="{value:request} of one address in the last minute came without a key that is known here.",
    means="An application was given a wrong key, or somebody guesses.",
    next="headgate alerts explain auth_failures",
    asks=lambda limits: largest(limits.of(catalogue.AUTH_WORST_SOURCE)) > limits.threshold,
    unit="count",
    severity="page",
    threshold=20,
    detail=Detail(
        "{value} in five minutes, of all addresses: {reason}",
        lambda labels: Top(3, total(increase(metric(catalogue.AUTH_FAILURES.name), 300), "reason")) > 0,
        "count",
    ),
    examples=Examples(catalogue.AUTH_WORST_SOURCE, "{what}: {amount} in a minute", 300.0),
)
AUTH_FAILURES_MANY = Rule(
    id="auth_failures_many",
    number="AL-26",
    title="Many requests come without a key",
    says="{value:request} in the last five minutes came without a key that is known here: {reason}.",
    means="Many who try a little each, or an application that runs in many places.",
    next="headgate alerts explain auth_failures",
    asks=lambda limits: total(increase(limits.of(catalogue.AUTH_FAILURES), 300), "reason") > limits.threshold,
    unit="count",
    severity="ticket",
    threshold=100,
    per="reason",
    runbook="auth_failures",
)
ADMIN_NEW_ADDRESS = Rule(
    id="admin_new_address",
    number="AL-26",
    title="The operators' port is used from a new address",
    says="{value:address} used the operators' port that never did before, in the last quarter of an hour.",
    means="Whoever it is has the token, which shows every call and silences alerts.",
    next="headgate alerts explain admin_new_address",
    asks=lambda limits: grown(limits.of(catalogue.ADMIN_NEW_ADDRESSES), 900) > limits.threshold,
    unit="count",
    severity="page",
    threshold=0,
    repeat_s=None,
    examples=Examples(catalogue.ADMIN_NEW_ADDRESSES, "{what}", HOUR_S),
)


RULES: tuple[Rule, ...] = (
    HEADROOM,
    BREAKER_OPEN,
    OVERLOADED,
    CREDENTIAL,
    AUTH_FAILURES,
    AUTH_FAILURES_MANY,
    ADMIN_NEW_ADDRESS,
)
