"""The names of OpenTelemetry's GenAI conventions, pinned here and nowhere else.

They are in development and still change.  `new` is the repository open-telemetry/semantic-conventions-genai as of
autumn 2026, which has no release; `legacy` is what the main repository had until 1.41, and most dashboards read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from headgate.events import ErrorClass
from headgate.telemetry.metrics.catalogue import Label, Metric

__all__ = ["MEASURED", "METRIC_NAMES", "OPT_IN", "Name", "Semconv", "Usage"]

Semconv = Literal["new", "legacy", "both"]

OPT_IN = "gen_ai_latest_experimental"
"""In OTEL_SEMCONV_STABILITY_OPT_IN: the new names alone."""

# -- attributes --------------------------------------------------------------------------------------------------------

CHAT, ANTHROPIC = "chat", "anthropic"
OPERATION = "gen_ai.operation.name"
PROVIDER, LEGACY_PROVIDER = "gen_ai.provider.name", "gen_ai.system"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
STREAM = "gen_ai.request.stream"
MAX_TOKENS = "gen_ai.request.max_tokens"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
CONVERSATION = "gen_ai.conversation.id"
WORKFLOW = "gen_ai.workflow.name"
ERROR_TYPE = "error.type"
STATUS_CODE = "http.response.status_code"
SERVER_ADDRESS, SERVER_PORT = "server.address", "server.port"


@dataclass(frozen=True, slots=True)
class Usage:
    """What the tokens of an answer are called."""

    input: str = "gen_ai.usage.input_tokens"
    """All of them: what was read from the cache or written to it included."""
    output: str = "gen_ai.usage.output_tokens"
    reasoning: str = "gen_ai.usage.reasoning.output_tokens"
    cache_read: str = "gen_ai.usage.cache_read.input_tokens"
    cache_write: tuple[str, ...] = ("gen_ai.usage.cache_write.input_tokens",)


PROVIDERS: dict[Semconv, tuple[str, ...]] = {
    "new": (PROVIDER,),
    "legacy": (LEGACY_PROVIDER,),
    "both": (PROVIDER, LEGACY_PROVIDER),
}
_WRITE, _LEGACY_WRITE = "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"
USAGES: dict[Semconv, Usage] = {
    "new": Usage(),
    "legacy": Usage(cache_write=(_LEGACY_WRITE,)),
    "both": Usage(cache_write=(_WRITE, _LEGACY_WRITE)),
}

# -- metrics -----------------------------------------------------------------------------------------------------------
#
# Each thing is measured once, and told under every name that it has.

_ASKED = Label(name=REQUEST_MODEL, meaning="The model that was asked.")
_ANSWERED = Label(name=RESPONSE_MODEL, meaning="The model that answered; empty if none did.")
_ERROR = Label(
    name=ERROR_TYPE,
    meaning="An error class; empty if there was none.",
    values=("", *[each.value for each in ErrorClass]),
)

_SECONDS = tuple([0.01 * 2**doublings for doublings in range(14)])
_TOKENS = tuple([4.0**power for power in range(14)])


def _seconds(name: str, help_: str) -> Metric:
    return Metric(
        name=name, kind="histogram", help=help_, unit="s", labels=(_ASKED, _ANSWERED, _ERROR), bounds=_SECONDS
    )


def _spread(name: str, help_: str) -> Metric:
    return Metric(name=name, kind="histogram", help=help_, unit="{token}", labels=(_ASKED, _ANSWERED), bounds=_TOKENS)


def _used(name: str, help_: str) -> Metric:
    return Metric(name=name, kind="counter", help=help_, unit="{token}", labels=(_ASKED, _ANSWERED))


DURATION = _seconds("gen_ai.client.inference.duration", "From sending a request to the end of its answer.")
FIRST_CHUNK = _seconds(
    "gen_ai.client.inference.time_to_first_chunk", "From sending a request to the first of its stream."
)
INPUT_SPREAD = _spread("gen_ai.client.inference.operation.input_tokens", "Input tokens of a request.")
OUTPUT_SPREAD = _spread("gen_ai.client.inference.operation.output_tokens", "Output tokens of a request.")
INPUT_USED = _used("gen_ai.client.inference.usage.input_tokens", "Input tokens, those of the cache included.")
OUTPUT_USED = _used("gen_ai.client.inference.usage.output_tokens", "Output tokens, reasoning included.")
READ_USED = _used("gen_ai.client.inference.usage.cache_read.input_tokens", "Input tokens read from the cache.")
WRITE_USED = _used("gen_ai.client.inference.usage.cache_write.input_tokens", "Input tokens written to the cache.")
REASONING_USED = _used("gen_ai.client.inference.usage.reasoning.output_tokens", "Output tokens of reasoning.")

MEASURED = (
    DURATION, FIRST_CHUNK, INPUT_SPREAD, OUTPUT_SPREAD, INPUT_USED, OUTPUT_USED, READ_USED, WRITE_USED, REASONING_USED,
)  # fmt: skip

Name = tuple[str, Mapping[str, str]]
"""What a metric is called, and the attributes that it then has beside its labels."""

_LEGACY_NAMES: dict[Metric, list[Name]] = {
    DURATION: [("gen_ai.client.operation.duration", {})],
    FIRST_CHUNK: [("gen_ai.client.operation.time_to_first_chunk", {})],
    INPUT_SPREAD: [("gen_ai.client.token.usage", {"gen_ai.token.type": "input"})],
    OUTPUT_SPREAD: [("gen_ai.client.token.usage", {"gen_ai.token.type": "output"})],
}
_NEW_NAMES: dict[Metric, list[Name]] = {
    metric: [(metric.name, {"gen_ai.token.modality": "unknown"} if metric.kind == "counter" else {})]
    for metric in MEASURED
}
METRIC_NAMES: dict[Semconv, dict[Metric, list[Name]]] = {
    "new": _NEW_NAMES,
    "legacy": {metric: _LEGACY_NAMES.get(metric, []) for metric in MEASURED},
    "both": {metric: names + _LEGACY_NAMES.get(metric, []) for metric, names in _NEW_NAMES.items()},
}
