"""What was in prompts and answers: never the text, only its kind."""

from __future__ import annotations

from headgate.events import Validation
from headgate.safety.finding_type import FindingType
from headgate.telemetry.metrics.catalogue.labels import WORKFLOW
from headgate.telemetry.metrics.catalogue.metric import Label, Metric

__all__ = [
    "BREAKPOINT",
    "CACHE_BREAKPOINTS",
    "CATEGORY",
    "FINDING",
    "FINDING_ACTION",
    "KNOWN_BY",
    "OUTPUT_VALIDATION",
    "PII_FINDINGS",
    "REFUSALS",
    "SECRETS_IN_LOG",
    "SINK",
    "STOP_REASON",
    "STOP_REASONS",
    "VALIDATION",
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
SINK = Label(
    name="sink",
    meaning="`calls`: the line that every call gets; `operators`: what the process says to those who run it.",
    values=("calls", "operators"),
)
KNOWN_BY = Label(
    name="known_by",
    meaning="`own`: a key that this process holds; `form`: what has the form of one.",
    values=("own", "form"),
)
CATEGORY = Label(
    name="category",
    meaning="The category of a refusal, as the API said; `none`: it said none.",
    values=("cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms", "none"),
)
VALIDATION = Label(
    name="result",
    meaning="The validation of errors.md.",
    values=tuple([each.value for each in Validation]),
)
BREAKPOINT = Label(
    name="result",
    meaning="`placed`: Headgate put it there. Of prompts where it put none: `below_minimum`, shorter than what the "
    "model caches; `volatile`, what is in them is not expected again in time; `caller_owned`, they have markers of "
    "their own, or must go to the API as they came.",
    values=("placed", "below_minimum", "volatile", "caller_owned"),
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
OUTPUT_VALIDATION = Metric(
    name="headgate_output_validation_total",
    kind="counter",
    help="Answers to requests for structured output, by whether they were that.",
    labels=(WORKFLOW, VALIDATION),
    born_with=VALIDATION,
)
PII_FINDINGS = Metric(
    name="headgate_pii_findings_total",
    kind="counter",
    help="Personal data and secrets found in text that is kept, and what was done with them.",
    labels=(WORKFLOW, FINDING, FINDING_ACTION),
)
SECRETS_IN_LOG = Metric(
    name="headgate_secrets_in_log_total",
    kind="counter",
    help="Keys that were taken out of lines on their way into a log.",
    labels=(SINK, KNOWN_BY),
)
CACHE_BREAKPOINTS = Metric(
    name="headgate_cache_breakpoints_total",
    kind="counter",
    help="Cache markers on prompts that were sent, and prompts that Headgate might have marked and did not, by why.",
    labels=(WORKFLOW, BREAKPOINT),
    born_with=BREAKPOINT,
)
