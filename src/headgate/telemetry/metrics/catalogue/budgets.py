"""What spending should be, and what it may be."""

from __future__ import annotations

from headgate.telemetry.metrics.catalogue.metric import PICO, Label, Metric

__all__ = [
    "BUDGET_CAP",
    "BUDGET_HELD",
    "BUDGET_PROJECTED",
    "BUDGET_SETTLED",
    "COST_BAND",
    "COST_BASELINE",
    "COST_FALLEN",
    "COST_RISE",
    "COST_SCOPE",
    "SCOPE",
    "WINDOW",
]

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
COST_BASELINE = Metric(
    name="headgate_cost_baseline_usd",
    kind="gauge",
    help="What this hour should cost, by hours of days of its own kind; not there while too little is known.",
    labels=(COST_SCOPE,),
    scale=PICO,
)
COST_BAND = Metric(
    name="headgate_cost_baseline_band_usd",
    kind="gauge",
    help="How far such hours scatter around it.",
    labels=(COST_SCOPE,),
    scale=PICO,
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
    scale=PICO,
)
BUDGET_SETTLED = Metric(
    name="headgate_budget_settled_usd",
    kind="gauge",
    help="What is spent of it in the window that is now; of a budget that is split, by the fullest of its parts.",
    labels=(SCOPE, WINDOW),
    scale=PICO,
)
BUDGET_HELD = Metric(
    name="headgate_budget_held_usd",
    kind="gauge",
    help="What is set aside of it for calls under way, and for other processes; likewise.",
    labels=(SCOPE, WINDOW),
    scale=PICO,
)
BUDGET_PROJECTED = Metric(
    name="headgate_budget_projected_usd",
    kind="gauge",
    help="What will have been spent of it when its day, week or month ends, by the same hours of earlier weeks or, "
    "without two of them, by the rate so far; of a budget that is split, by the dearest of its parts.",
    labels=(SCOPE, WINDOW),
    scale=PICO,
)
