"""The prompt cache, and how large calls are."""

from __future__ import annotations

from headgate.alerts.expr import Matcher
from headgate.alerts.functions import ratio
from headgate.events import OWN_REQUESTS
from headgate.telemetry.metrics import catalogue
from headgate.telemetry.panels.panel import Dashboard, Line, Panel
from headgate.telemetry.panels.queries import HOUR_S, grew, per_second, quantile_by

__all__ = ["TOKENS"]

PROMPT = Matcher("!=", "output")
CALLERS = Matcher("!=", OWN_REQUESTS)

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
                        grew(catalogue.TOKENS, "workflow", window_s=HOUR_S, workflow=CALLERS, kind="cache_read"),
                        grew(catalogue.TOKENS, "workflow", window_s=HOUR_S, workflow=CALLERS, kind=PROMPT),
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
            (Line(per_second(catalogue.TOKENS, "kind"), "{kind}"),),
        ),
        Panel(
            "Tokens a call",
            "Have calls grown?",
            "count",
            (
                Line(
                    grew(catalogue.TOKENS, "workflow", window_s=HOUR_S)
                    / grew(catalogue.REQUESTS, "workflow", window_s=HOUR_S),
                    "{workflow}",
                ),
            ),
        ),
        Panel(
            "Outliers",
            "Which calls took over twice the tokens of their workflow?",
            "count",
            (Line(grew(catalogue.TOKEN_OUTLIERS, "workflow", window_s=HOUR_S), "{workflow}"),),
            rare=True,
        ),
        Panel(
            "Estimates",
            "How far is what calls were admitted for from what they took?",
            "share",
            (Line(quantile_by(0.5, catalogue.ESTIMATE_ERROR, "kind"), "median {kind}"),),
        ),
        Panel(
            "Cache markers",
            "Where does Headgate mark prompts for the cache, and why not?",
            "per_second",
            (Line(per_second(catalogue.CACHE_BREAKPOINTS, "workflow", "result"), "{workflow}: {result}"),),
        ),
        Panel(
            "Headgate's own requests",
            "How often does Headgate keep prompts in the cache, and how does that end?",
            "count",
            (Line(grew(catalogue.OWN_REQUESTS_SENT, "own", "outcome", window_s=HOUR_S), "{own}: {outcome}"),),
            rare=True,
        ),
    ),
)
