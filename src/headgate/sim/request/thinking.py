"""How a request asks the model to think, and how hard to try: what each model takes (claude-api.md §3).

What comes of thinking blocks that are sent back stands in `signatures.py`.
"""

from __future__ import annotations

from typing import Any

from headgate.sim.errors import invalid
from headgate.sim.facts import Model
from headgate.sim.request.betas import BINDING_CONTROLS, needs_beta
from headgate.sim.request.rules import Rules

__all__ = ["check_effort", "check_thinking", "efforts_of"]

MIN_BUDGET = 1_024
DISPLAY_UPDATES = "thinking-display-updates-2026-08-18"

_TYPES = ("adaptive", "enabled", "disabled", "between_tools")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_FIELDS = {
    "adaptive": {"type", "display", "block_binding"},
    "enabled": {"type", "display", "block_binding", "budget_tokens"},
    "disabled": {"type"},
    "between_tools": {"type"},
}
_ALL_FIELDS = frozenset().union(*_FIELDS.values())
"""A field that is none of these is newer than this simulator, and passed over."""
_DISPLAYS = ("summarized", "omitted", "updates")
_BEHAVIOURS = ("error", "drop_block")
_WITHOUT_EFFORT = frozenset({"claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"})
_UP_TO = {
    "claude-opus-4-5-20251101": ("low", "medium", "high"),
    "claude-opus-4-6": ("low", "medium", "high", "max"),
    "claude-sonnet-4-6": ("low", "medium", "high", "max"),
}


def efforts_of(model: Model) -> tuple[str, ...]:
    """The values of `output_config.effort` it takes, none where it takes no effort at all.  Not in the sheet: from
    Anthropic's page on effort, which names models up to 5; the later ones are taken to take what those take."""
    return () if model.id in _WITHOUT_EFFORT else _UP_TO.get(model.id, _EFFORTS)


def check_effort(output: dict[str, Any], model: Model, place: str = "output_config") -> None:
    """`effort` of a request, or of one system turn.

    Raises:
        ApiError: 400 for a value that no model, or not this model, takes.
    """
    effort = output.get("effort")
    if effort is None:
        return
    if effort not in _EFFORTS:
        raise invalid(f"{place}.effort: Input should be one of {', '.join(_EFFORTS)}")
    taken = efforts_of(model)
    if not taken:
        raise invalid("This model does not support the effort parameter.")
    if effort not in taken:
        raise invalid(f"{place}.effort: '{effort}' is not supported by this model; it takes {', '.join(taken)}.")


def check_thinking(body: dict[str, Any], model: Model, rules: Rules) -> None:
    """The mode of thinking, its fields, and what they cannot stand beside.

    Raises:
        ApiError: 400.
    """
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    if kind not in _TYPES:
        raise invalid("thinking.type: Input should be 'adaptive', 'enabled', 'disabled' or 'between_tools'")
    if kind not in model.thinking_types:
        raise invalid(f'thinking.type: "{kind}" is not supported by this model.')
    if not thinking.keys() & _ALL_FIELDS <= _FIELDS[kind]:
        raise invalid(f"thinking.{kind}: Extra inputs are not permitted")
    _check_display(thinking, f"thinking.{kind}", rules)
    _check_binding(thinking, f"thinking.{kind}", rules)
    if kind == "enabled":
        _check_budget(thinking.get("budget_tokens"), body.get("max_tokens"))
    elif kind == "disabled":
        _check_disabled(body, model)


def _check_display(thinking: dict[str, Any], place: str, rules: Rules) -> None:
    display = thinking.get("display")
    if display is None:
        return
    if display not in _DISPLAYS:
        raise invalid(f"{place}.display: Input should be 'summarized' or 'omitted'")
    if display == "updates":
        needs_beta(f"{place}.display", (DISPLAY_UPDATES,), rules)


def _check_binding(thinking: dict[str, Any], place: str, rules: Rules) -> None:
    """§9.10: null, absent and empty all mean every default."""
    binding = thinking.get("block_binding")
    if binding is None:
        return
    needs_beta(f"{place}.block_binding", (BINDING_CONTROLS,), rules)
    if not isinstance(binding, dict):
        raise invalid(f"{place}.block_binding: Input should be an object")
    behaviour = binding.get("prefix_mismatch_behavior")
    if behaviour is not None and behaviour not in _BEHAVIOURS:
        raise invalid(f"{place}.block_binding.prefix_mismatch_behavior: Input should be 'error' or 'drop_block'")


def _check_budget(budget: Any, most: Any) -> None:
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < MIN_BUDGET:
        raise invalid(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_BUDGET}")
    if isinstance(most, int) and budget >= most > 0:
        raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_disabled(body: dict[str, Any], model: Model) -> None:
    """Some models turn thinking off only up to a certain effort; the sheet says so in its line on thinking."""
    effort = (body.get("output_config") or {}).get("effort") or model.default_effort
    if "only at effort high or below" in model.thinking and effort in ("xhigh", "max"):
        raise invalid(
            f"output_config.effort '{effort}' is not supported when thinking is disabled on this model. "
            "Use effort 'high' or below, or enable thinking."
        )
