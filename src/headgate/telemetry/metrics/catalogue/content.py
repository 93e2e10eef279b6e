"""What was in prompts and answers: never the text, only its kind."""

from __future__ import annotations

from headgate.safety.finding_type import FindingType
from headgate.telemetry.metrics.catalogue.labels import WORKFLOW
from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = [
    "BREAKPOINT",
    "CACHE_BREAKPOINTS",
    "CATEGORY",
    "FINDING",
    "FINDING_ACTION",
    "PII_FINDINGS",
    "REFUSALS",
    "STOP_REASON",
    "STOP_REASONS",
]

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
