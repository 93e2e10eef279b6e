"""Tokens as the API counted them, and what they cost as the ledger has it."""

from __future__ import annotations

from headgate.telemetry.metrics.catalogue.labels import MODEL, POOL, WORKFLOW
from headgate.telemetry.metrics.catalogue.metric import PICO, Label, Metric

__all__ = [
    "COST",
    "COST_BY_MODEL",
    "COST_ESTIMATED",
    "ESTIMATE",
    "ESTIMATE_ERROR",
    "TIER",
    "TOKENS",
    "TOKENS_BY_MODEL",
    "TOKEN_KIND",
    "TOKEN_OUTLIERS",
    "UNPRICED",
]

TOKEN_KIND = Label(
    name="kind",
    meaning="Claude's own disjoint kinds: a token is counted in one of them.",
    values=("input", "cache_read", "cache_write_5m", "cache_write_1h", "output"),
)
ESTIMATE = Label(name="kind", meaning="Of which tokens the estimate was.", values=("input", "output"))
TIER = Label(name="tier", meaning="The service tier, as the API said.", values=("standard", "batch", "priority"))
_RATIOS = (0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0)
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
    scale=PICO,
)
COST_BY_MODEL = Metric(
    name="headgate_cost_by_model_usd_total",
    kind="counter",
    help="The same cost, by the model that answered.",
    labels=(MODEL, TIER),
    scale=PICO,
)
COST_ESTIMATED = Metric(
    name="headgate_cost_estimated_usd_total",
    kind="counter",
    help="Expected cost of attempts of which nothing tells what they used; not in the cost.",
    labels=(WORKFLOW,),
    scale=PICO,
)
UNPRICED = Metric(
    name="headgate_unpriced_requests_total",
    kind="counter",
    help="Calls whose cost is not known, because the price book has none for a part of it.",
    labels=(WORKFLOW,),
)
