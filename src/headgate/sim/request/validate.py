"""What the API refuses before it does anything: shapes, versions and what each model does not take.

Sections cited are those of `claude-api.md`.  Fields that are not known are tolerated unless the settings say otherwise;
unknown kinds of content block always are.  Messages name places (`messages.3.content.0`), never what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from headgate.sim.errors import ApiError, invalid
from headgate.sim.facts import FACTS, Model

__all__ = ["API_VERSIONS", "Ask", "Rules", "find_model", "validate"]

API_VERSIONS = frozenset(("2023-01-01", *FACTS.api_versions))
"""§1 knows one that the facts file leaves out."""
STRICT_SAMPLING_VERSION = "2026-10-21"
"""From this version on sampling parameters are refused altogether (§2)."""
FAST_BETA = "fast-mode-2026-02-01"
LONG_BATCH_BETA = "output-300k-2026-03-24"
MIN_THINKING_BUDGET = 1_024
FAST_IGNORED = frozenset({"claude-opus-4-6"})
"""§13: the one model that takes `speed: fast` and answers at standard speed and price."""

Kind = Literal["message", "count", "batch"]

_SAMPLING = ("temperature", "top_p", "top_k")
_DEFAULTS = {"temperature": (1,), "top_p": (1,), "top_k": ()}
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_BATCH_REFUSES = ("speed", "thread", "cache_hint", "context_hint", "fallbacks")
_KNOWN_FIELDS = frozenset(
    ("model", "messages", "max_tokens", "system", "tools", "tool_choice", "stream", "stop_sequences", "metadata",
     "thinking", "output_config", "cache_control", "diagnostics", "service_tier", "speed", "inference_geo", "container",
     "mcp_servers", "context_management", "compaction", "fallbacks", "fallback_credit_token", "billing_policy",
     "thread", "temperature", "top_p", "top_k", "output_format", "user_profile_id", "cache_hint", "context_hint")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """Under which rules a request is read."""

    version: str
    betas: frozenset[str]
    today: date
    kind: Kind = "message"
    tolerate_unknown_fields: bool = True


@dataclass(slots=True)
class Ask:
    """A validated request, as far as anything outside `body` is needed."""

    body: dict[str, Any]
    model: Model
    max_tokens: int
    stream: bool
    fast: bool
    us: bool

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
    if not rules.tolerate_unknown_fields and not body.keys() <= _KNOWN_FIELDS:
        raise invalid("The request holds a field that is not known: Extra inputs are not permitted.")
    model = find_model(body.get("model"), rules.today)
    if "messages" not in body:
        raise invalid("messages: Field required")
    _check_types(body)
    _check_sampling(body, model, rules)
    tools = _check_tools(body)
    _check_thinking(body, model)
    _check_tool_choice(body, model, tools)
    _check_system(body)
    _check_messages(body["messages"], model, rules)
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
    output = body.get("output_config") or {}
    effort = output.get("effort")
    if effort is not None and effort not in _EFFORTS:
        raise invalid(f"output_config.effort: Input should be one of {', '.join(_EFFORTS)}")
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
        if rules.version >= STRICT_SAMPLING_VERSION:
            raise invalid(f"{name}: this API version does not take sampling parameters; leave it out.")
        if value < 0 or (name != "top_k" and value > 1):
            raise invalid(f"{name}: Input is out of range")
        if not model.takes_sampling and value not in _DEFAULTS[name]:
            raise invalid(f"{name}: `{name}` is deprecated for this model.")


def _check_tools(body: dict[str, Any]) -> frozenset[str]:
    names = []
    for number, tool in enumerate(body.get("tools") or ()):
        if not isinstance(tool, dict):
            raise invalid(f"tools.{number}: Input should be an object")
        name = tool.get("name")
        custom = tool.get("type") in (None, "custom")
        if custom and (not isinstance(name, str) or _TOOL_NAME.fullmatch(name) is None):
            raise invalid(f"tools.{number}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if custom and not isinstance(tool.get("input_schema"), dict):
            raise invalid(f"tools.{number}.input_schema: Field required")
        if isinstance(name, str):
            names.append(name)
    if len(names) != len(set(names)):
        raise invalid("tools: Tool names must be unique.", code="tool_name_conflict")
    return frozenset(names)


def _check_thinking(body: dict[str, Any], model: Model) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    if kind not in ("adaptive", "enabled", "disabled", "between_tools"):
        raise invalid("thinking.type: Input should be 'adaptive', 'enabled', 'disabled' or 'between_tools'")
    if kind not in model.thinking_types:
        raise invalid(f'thinking.type: "{kind}" is not supported by this model.')
    if kind != "enabled":
        return
    budget = thinking.get("budget_tokens")
    if not isinstance(budget, int) or budget < MIN_THINKING_BUDGET:
        raise invalid(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_THINKING_BUDGET}")
    most = body.get("max_tokens")
    if isinstance(most, int) and budget >= most > 0:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_tool_choice(body: dict[str, Any], model: Model, tools: frozenset[str]) -> None:
    """§3: forced choice is refused by the models that always think."""
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind = choice.get("type")
    if kind not in ("auto", "any", "tool", "none"):
        raise invalid("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    if kind not in ("any", "tool"):
        return
    if not model.forced_tool_choice_supported:
        raise invalid(f"tool_choice: type '{kind}' is not supported by this model; use 'auto' or 'none'.")
    if not tools:
        raise invalid("tool_choice: a tool can only be forced while `tools` are given.")
    if kind == "tool" and not (isinstance(choice.get("name"), str) and choice["name"] in tools):
        raise invalid("tool_choice.name: the tool is not among `tools`.")
    if (body.get("thinking") or {}).get("type") == "enabled":
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")


def _check_system(body: dict[str, Any]) -> None:
    system = body.get("system")
    if isinstance(system, list):
        for number, block in enumerate(system):
            if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
                raise invalid(f"system.{number}: Input should be a text block")


def _check_messages(messages: list[Any], model: Model, rules: Rules) -> None:
    if not messages:
        raise invalid("messages: at least one message is required")
    if len(messages) > FACTS.other_limits.max_messages_per_request:
        raise invalid(f"messages: at most {FACTS.other_limits.max_messages_per_request} messages are allowed")
    for number, message in enumerate(messages):
        place = f"messages.{number}"
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant", "system"):
            raise invalid(f"{place}.role: Input should be 'user', 'assistant' or 'system'")
        _check_content(message.get("content"), message["role"], f"{place}.content", rules)
        if message["role"] == "system":
            _check_system_turn(messages, number, place)
    _check_turns(messages, model)


def _check_content(content: Any, role: str, place: str, rules: Rules) -> None:
    if isinstance(content, str):
        if not content and role != "assistant":
            raise invalid(f"{place}: messages must have non-empty content")
        return
    if not isinstance(content, list):
        raise invalid(f"{place}: Input should be a string or a list of content blocks")
    if not content and role != "assistant":
        raise invalid(f"{place}: messages must have non-empty content")
    for number, block in enumerate(content):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise invalid(f"{place}.{number}.type: Field required")
        check = _BLOCK_CHECKS.get(block["type"])
        if check is not None:
            check(block, role, f"{place}.{number}")
        if rules.version >= STRICT_SAMPLING_VERSION:
            _check_new_version(block, role, f"{place}.{number}")


def _check_text(block: dict[str, Any], role: str, place: str) -> None:
    text = block.get("text")
    if not isinstance(text, str):
        raise invalid(f"{place}.text: Field required")
    if not text and block.get("cache_control") is None:
        raise invalid("messages: text content blocks must be non-empty")


def _check_tool_use(block: dict[str, Any], role: str, place: str) -> None:
    if role != "assistant":
        raise invalid(f"{place}: `tool_use` blocks can only be in `assistant` messages")
    if not isinstance(block.get("id"), str) or not isinstance(block.get("name"), str):
        raise invalid(f"{place}: a tool_use block needs an id and a name")
    if not isinstance(block.get("input"), dict):
        raise invalid(f"{place}.input: Input should be an object")


def _check_tool_result(block: dict[str, Any], role: str, place: str) -> None:
    if role != "user":
        raise invalid(f"{place}: `tool_result` blocks can only be in `user` messages")
    if not isinstance(block.get("tool_use_id"), str):
        raise invalid(f"{place}.tool_use_id: Field required")
    content = block.get("content")
    if not isinstance(content, str | list | None):
        raise invalid(f"{place}.content: Input should be a string or a list of content blocks")
    for number, inner in enumerate(content if isinstance(content, list) else ()):
        if not isinstance(inner, dict) or not isinstance(inner.get("type"), str):
            raise invalid(f"{place}.content.{number}.type: Field required")
        if inner["type"] == "text" and not isinstance(inner.get("text"), str):
            raise invalid(f"{place}.content.{number}.text: Field required")


def _check_source(block: dict[str, Any], role: str, place: str) -> None:
    source = block.get("source")
    if not isinstance(source, dict) or source.get("type") not in ("base64", "url", "file", "text", "content"):
        raise invalid(f"{place}.source.type: Input should be 'base64', 'url', 'file', 'text' or 'content'")
    for number, inner in enumerate(source["content"] if isinstance(source.get("content"), list) else ()):
        if isinstance(inner, dict) and inner.get("type") == "text" and not isinstance(inner.get("text"), str):
            raise invalid(f"{place}.source.content.{number}.text: Field required")


_BLOCK_CHECKS: dict[str, Callable[[dict[str, Any], str, str], None]] = {
    "text": _check_text,
    "tool_use": _check_tool_use,
    "tool_result": _check_tool_result,
    "image": _check_source,
    "document": _check_source,
}


def _check_new_version(block: dict[str, Any], role: str, place: str) -> None:
    """§2: two things that 2026-10-21 no longer takes."""
    if role == "assistant" and block["type"] == "document":
        raise invalid(f"{place}: document blocks are not allowed in assistant messages")
    if role == "user" and block["type"] == "text" and block.get("citations"):
        raise invalid(f"{place}.citations: citations are not allowed on text blocks in user messages")


def _check_system_turn(messages: list[Any], number: int, place: str) -> None:
    """§3: where a system message may stand in a conversation."""
    before = messages[number - 1] if number else None
    after = messages[number + 1] if number + 1 < len(messages) else None
    follows = before is not None and (before.get("role") == "user" or _ends_in_server_tool(before))
    if not follows:
        raise invalid(f"{place}: a system message must follow a user turn or a server tool's result")
    if after is not None and isinstance(after, dict) and after.get("role") != "assistant":
        raise invalid(f"{place}: a system message must be last or be followed by an assistant turn")


def _check_turns(messages: list[dict[str, Any]], model: Model) -> None:
    """What spans turns: every tool call is answered in the next turn, and the conversation does not end in words put
    into the model's mouth where it takes none (§3, §5.1)."""
    pending: set[str] = set()
    previous = "user"
    for number, message in enumerate(messages):
        role = message["role"]
        if role == "system":
            continue
        blocks = message["content"] if isinstance(message["content"], list) else ()
        if role == "assistant":
            pending = {block["id"] for block in blocks if block["type"] == "tool_use"} | (
                pending if previous == "assistant" else set()
            )
        else:
            answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
            if not answered <= pending:
                raise invalid(f"messages.{number}: a `tool_result` block has no `tool_use` in the turn before it")
            pending -= answered
            if pending and (number + 1 == len(messages) or messages[number + 1]["role"] == "assistant"):
                raise invalid(f"messages.{number}: a `tool_use` of the turn before has no `tool_result` block here")
        previous = role
    last = messages[-1]
    if last["role"] == "assistant" and not _ends_in_server_tool(last) and not model.assistant_prefill_supported:
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )


def _ends_in_server_tool(message: dict[str, Any]) -> bool:
    """Whether an assistant turn stopped inside the work of a server tool, as `pause_turn` leaves it (§5.1)."""
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, list) or not content:
        return False
    kind = str(content[-1].get("type")) if isinstance(content[-1], dict) else ""
    return kind == "server_tool_use" or (kind.endswith("_tool_result") and kind != "tool_result")


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
    """§13: fast mode by model and date."""
    if body.get("speed") != "fast" or model.id in FAST_IGNORED:
        return False
    if model.fast_mode is None or not model.fast_mode.available(rules.today):
        raise invalid("speed: 'fast' is not available on this model")
    if model.fast_mode.beta_header_required and FAST_BETA not in rules.betas:
        raise invalid(f"speed: 'fast' on this model needs the beta header {FAST_BETA}")
    return True


def _check_geography(body: dict[str, Any], model: Model) -> bool:
    """§3: the choice exists from Claude 4.6 on."""
    geography = body.get("inference_geo")
    if geography is not None and model.multipliers.inference_geo_us is None:
        raise invalid("inference_geo: not supported by this model")
    return geography == "us"
