"""What the API refuses before it does anything: shapes, versions and what each model does not take.

Sections cited are those of `claude-api.md`.  Fields that are not known are tolerated unless the settings say otherwise;
unknown kinds of content block always are.  Messages name places (`messages.3.content.0`), never what stands there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from headgate.sim.errors import ApiError, invalid
from headgate.sim.facts import FACTS, Model
from headgate.sim.request.betas import check_betas
from headgate.sim.request.citing import check_citations
from headgate.sim.request.grammar import check_enforced
from headgate.sim.request.rules import Rules
from headgate.sim.request.signatures import Signer
from headgate.sim.request.thinking import check_effort, check_thinking
from headgate.sim.request.tools import check_tool_changes, check_tool_choice, check_tools
from headgate.sim.request.turns import check_system, check_turns

__all__ = ["Ask", "find_model", "validate"]

FAST_BETA = "fast-mode-2026-02-01"
LONG_BATCH_BETA = "output-300k-2026-03-24"
FINE_GRAINED_BETA = "fine-grained-tool-streaming-2025-05-14"
"""The header that `eager_input_streaming` has replaced; it holds for tools that leave the field out."""
FAST_IGNORED = frozenset({"claude-opus-4-6"})
"""§13: the one model that takes `speed: fast` and answers at standard speed and price."""

_SAMPLING = ("temperature", "top_p", "top_k")
_DEFAULTS = {"temperature": (1,), "top_p": (1,), "top_k": ()}
_BATCH_REFUSES = ("speed", "thread", "cache_hint", "context_hint", "fallbacks")
_KNOWN_FIELDS = frozenset(
    ("model", "messages", "max_tokens", "system", "tools", "tool_choice", "stream", "stop_sequences", "metadata",
     "thinking", "output_config", "cache_control", "diagnostics", "service_tier", "speed", "inference_geo", "container",
     "mcp_servers", "context_management", "compaction", "fallbacks", "fallback_credit_token", "billing_policy",
     "thread", "temperature", "top_p", "top_k", "output_format", "user_profile_id", "cache_hint", "context_hint")
)  # fmt: skip


@dataclass(slots=True)
class Ask:
    """A validated request, as far as anything outside `body` is needed."""

    body: dict[str, Any]
    model: Model
    max_tokens: int
    stream: bool
    fast: bool
    us: bool
    told: dict[str, Any] = field(default_factory=dict)
    """Fields of the answer's message that the request alone decides, such as `input_transformations`."""
    eager: bool = False
    """Input of tools that do not say otherwise is streamed eagerly (§7.2)."""
    signer: Signer | None = None
    """Signs the thoughts of the answer; there once the thoughts of the request are looked through."""

    @property
    def tool_choice(self) -> str:
        return str((self.body.get("tool_choice") or {}).get("type", "auto"))


def find_model(name: object, today: date) -> Model:
    """The model that answers to `name`, an id or an alias.

    Raises:
        ApiError: 400 without a name; 404 for one that is unknown, retired by `today`, not released yet, or listed
            without pool and price (§6, §13).
    """
    if not isinstance(name, str) or not name:
        raise invalid("model: Field required")
    model = FACTS.by_name.get(name)
    if model is None or not (model.served and model.released_by(today)) or model.lifecycle(today) == "retired":
        raise ApiError(404, "model: no such model is available; it may be retired. See GET /v1/models.")
    return model


def validate(body: Any, rules: Rules) -> Ask:
    """Check a whole request.

    Raises:
        ApiError: the first thing wrong with it.
    """
    if not isinstance(body, dict):
        raise invalid("The request body must be a JSON object.")
    if rules.settings.refuse_unknown_fields and not body.keys() <= _KNOWN_FIELDS:
        raise invalid("The request holds a field that is not known: Extra inputs are not permitted.")
    model = find_model(body.get("model"), rules.today)
    if "messages" not in body:
        raise invalid("messages: Field required")
    _check_types(body)
    check_betas(body, rules)
    _check_output(body.get("output_config") or {}, model)
    _check_sampling(body, model, rules)
    tools = check_tools(body, rules)
    check_thinking(body, model, rules)
    check_tool_choice(body, model, tools)
    if rules.kind != "count":  # tokens are counted without compiling (§12)
        check_enforced(body, untyped=rules.settings.untyped_schemas)
    check_system(body.get("system"))
    check_turns(body["messages"], model, rules)
    check_citations(body)
    check_tool_changes(body, rules)
    max_tokens = 0 if rules.kind == "count" else _check_max_tokens(body, model, rules)
    if rules.kind == "batch":
        _check_batch_item(body)
    return Ask(
        body,
        model,
        max_tokens,
        stream=body.get("stream") is True,
        fast=_check_speed(body, model, rules),
        us=_check_geography(body, model),
        eager=FINE_GRAINED_BETA in rules.betas,
    )


def _check_types(body: dict[str, Any]) -> None:
    for name, types, what in _TYPES:
        value = body.get(name)
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and types is not bool)):
            raise invalid(f"{name}: Input should be {what}")
    for name, allowed in _CHOICES:
        value = body.get(name)
        if value is not None and value not in allowed:
            raise invalid(f"{name}: Input should be {' or '.join(repr(choice) for choice in allowed)}")
    sequences = body.get("stop_sequences") or ()
    if not all(isinstance(item, str) for item in sequences):
        raise invalid("stop_sequences: Input should be a list of strings")
    if not all(item.strip() for item in sequences):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")
    previous = (body.get("diagnostics") or {}).get("previous_message_id")
    if not isinstance(previous, str | None):
        raise invalid("diagnostics.previous_message_id: Input should be a string or null")


def _check_output(output: dict[str, Any], model: Model) -> None:
    check_effort(output, model)
    wanted = output.get("format")
    if wanted is not None and not (isinstance(wanted, dict) and isinstance(wanted.get("schema"), dict)):
        raise invalid("output_config.format: Input should be an object with a JSON schema")


_TYPES: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
    ("messages", list, "a list"),
    ("max_tokens", int, "an integer"),
    ("system", (str, list), "a string or a list of text blocks"),
    ("tools", list, "a list"),
    ("tool_choice", dict, "an object"),
    ("stream", bool, "true or false"),
    ("stop_sequences", list, "a list of strings"),
    ("metadata", dict, "an object"),
    ("thinking", dict, "an object"),
    ("output_config", dict, "an object"),
    ("diagnostics", dict, "an object"),
    ("temperature", (int, float), "a number"),
    ("top_p", (int, float), "a number"),
    ("top_k", int, "an integer"),
)
_CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("service_tier", ("auto", "standard_only")),
    ("speed", ("standard", "fast")),
    ("inference_geo", ("global", "us")),
)


def _check_sampling(body: dict[str, Any], model: Model, rules: Rules) -> None:
    """§2: refused under 2026-10-21 even at the default, and otherwise by models that do not sample."""
    for name in _SAMPLING:
        value = body.get(name)
        if value is None:
            continue
        if rules.strict:
            raise invalid(f"{name}: this API version does not take sampling parameters; leave it out.")
        if value < 0 or (name != "top_k" and value > 1):
            raise invalid(f"{name}: Input is out of range")
        if not model.takes_sampling and value not in _DEFAULTS[name]:
            raise invalid(f"{name}: `{name}` is deprecated for this model.")


def _check_max_tokens(body: dict[str, Any], model: Model, rules: Rules) -> int:
    most = body.get("max_tokens")
    if most is None:
        raise invalid("max_tokens: Field required")
    ceiling = model.max_output_tokens or 0
    if rules.kind == "batch" and LONG_BATCH_BETA in rules.betas:
        ceiling = model.batch_max_output_tokens_beta or ceiling
    if not 0 <= most <= ceiling:
        raise invalid(f"max_tokens: must be from 0 to {ceiling}, the most this model can answer with")
    if most == 0:
        _check_prewarm(body, rules)
    return int(most)


def _check_prewarm(body: dict[str, Any], rules: Rules) -> None:
    """§9.7: what `max_tokens: 0` cannot stand beside."""
    clashes = {
        "stream": body.get("stream") is True,
        "thinking.type 'enabled'": (body.get("thinking") or {}).get("type") == "enabled",
        "output_config.format": (body.get("output_config") or {}).get("format") is not None,
        "a forced tool_choice": (body.get("tool_choice") or {}).get("type") in ("any", "tool"),
        "a batch": rules.kind == "batch",
    }
    for what, clash in clashes.items():
        if clash:
            raise invalid(f"max_tokens: 0 only fills the prompt cache and cannot be combined with {what}")


def _check_batch_item(body: dict[str, Any]) -> None:
    """§10: what a request in a batch may not carry."""
    if body.get("stream") is True:
        raise invalid("stream: not allowed in a batch")
    for name in _BATCH_REFUSES:
        if body.get(name) is not None:
            raise invalid(f"{name}: not allowed in a batch")


def _check_speed(body: dict[str, Any], model: Model, rules: Rules) -> bool:
    """§13: fast mode by model and date.  Where it needs its beta, any value of the field does."""
    speed = body.get("speed")
    if speed is None or model.id in FAST_IGNORED:
        return False
    if model.fast_mode is not None and model.fast_mode.beta_header_required and FAST_BETA not in rules.betas:
        raise invalid(f"speed: this model needs the beta header {FAST_BETA}")
    if speed == "standard":
        return False
    if model.fast_mode is None or not model.fast_mode.available(rules.today):
        raise invalid("speed: 'fast' is not available on this model")
    return True


def _check_geography(body: dict[str, Any], model: Model) -> bool:
    """§3: the choice exists from Claude 4.6 on."""
    geography = body.get("inference_geo")
    if geography is not None and model.multipliers.inference_geo_us is None:
        raise invalid("inference_geo: not supported by this model")
    return geography == "us"
