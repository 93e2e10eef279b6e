"""The names of OpenTelemetry's GenAI conventions, pinned here and nowhere else.

They are in development and still change.  `new` is the repository open-telemetry/semantic-conventions-genai as of
autumn 2026, which has no release; `legacy` is what the main repository had until 1.41, and most dashboards read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headgate.events import ErrorClass
from headgate.telemetry.metrics.catalogue import Label, Metric

__all__ = ["MEASURES", "OPT_IN", "Measures", "Semconv", "Usage"]

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

_ASKED = Label(name=REQUEST_MODEL, meaning="The model that was asked.")
_ANSWERED = Label(name=RESPONSE_MODEL, meaning="The model that answered; empty if none did.")
_ERROR = Label(
    name=ERROR_TYPE,
    meaning="An error class; empty if there was none.",
    values=("", *[each.value for each in ErrorClass]),
)
_MODALITY = Label(
    name="gen_ai.token.modality", meaning="What the tokens stand for: the API does not say.", values=("unknown",)
)
_TYPE = Label(name="gen_ai.token.type", meaning="Of which tokens.", values=("input", "output"))

_SECONDS = tuple([0.01 * 2**doublings for doublings in range(14)])
_TOKENS = tuple([4.0**power for power in range(14)])


def _seconds(name: str, help_: str) -> Metric:
    return Metric(
        name=name, kind="histogram", help=help_, unit="s", labels=(_ASKED, _ANSWERED, _ERROR), bounds=_SECONDS
    )


def _spread(name: str, help_: str, *labels: Label) -> Metric:
    return Metric(
        name=name, kind="histogram", help=help_, unit="{token}", labels=(_ASKED, _ANSWERED, *labels), bounds=_TOKENS
    )


def _used(kind: str) -> Metric:
    return Metric(
        name=f"gen_ai.client.inference.usage.{kind}",
        kind="counter",
        help=f"Tokens used: {kind.replace('_', ' ').replace('.', ', ')}.",
        unit="{token}",
        labels=(_ASKED, _ANSWERED, _MODALITY),
    )


@dataclass(frozen=True, slots=True)
class Measures:
    """The metrics that what is measured goes into: several where it has several names."""

    durations: tuple[Metric, ...]
    first_chunks: tuple[Metric, ...]
    used: tuple[Metric, ...]
    """Input, output, read from the cache, written to it, reasoning; or none."""
    spreads: tuple[tuple[Metric, Metric], ...]
    """Input and output; by a label of the one metric or by two."""
    typed: tuple[Metric, ...]
    """The same, told apart by the token's type."""

    @property
    def all(self) -> tuple[Metric, ...]:
        pairs = [metric for pair in self.spreads for metric in pair]
        return (*self.durations, *self.first_chunks, *self.used, *pairs, *self.typed)


_DURATION = _seconds("gen_ai.client.inference.duration", "From sending a request to the end of its answer.")
_LEGACY_DURATION = _seconds("gen_ai.client.operation.duration", "From sending a request to the end of its answer.")
_FIRST_CHUNK = _seconds(
    "gen_ai.client.inference.time_to_first_chunk", "From sending a request to the first of its stream."
)
_LEGACY_FIRST_CHUNK = _seconds(
    "gen_ai.client.operation.time_to_first_chunk", "From sending a request to the first of its stream."
)
_USED = tuple(
    [
        _used(kind)
        for kind in (
            "input_tokens", "output_tokens", "cache_read.input_tokens", "cache_write.input_tokens",
            "reasoning.output_tokens",
        )
    ]
)  # fmt: skip
_SPREADS = (
    _spread("gen_ai.client.inference.operation.input_tokens", "Input tokens of a request."),
    _spread("gen_ai.client.inference.operation.output_tokens", "Output tokens of a request."),
)
_TOKEN_USAGE = _spread("gen_ai.client.token.usage", "Tokens of a request.", _TYPE)

MEASURES: dict[Semconv, Measures] = {
    "new": Measures((_DURATION,), (_FIRST_CHUNK,), _USED, (_SPREADS,), ()),
    "legacy": Measures((_LEGACY_DURATION,), (_LEGACY_FIRST_CHUNK,), (), (), (_TOKEN_USAGE,)),
    "both": Measures(
        (_DURATION, _LEGACY_DURATION), (_FIRST_CHUNK, _LEGACY_FIRST_CHUNK), _USED, (_SPREADS,), (_TOKEN_USAGE,)
    ),
}
