"""The account, its keys and limits, and the API behind them."""

from __future__ import annotations

from headgate.alerts.expr import Expr, one_of
from headgate.alerts.functions import increase, largest, ratio, total
from headgate.alerts.rule import Limits, Rule
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


RULES: tuple[Rule, ...] = (
    HEADROOM,
    BREAKER_OPEN,
    OVERLOADED,
    CREDENTIAL,
    AUTH_FAILURES,
)
