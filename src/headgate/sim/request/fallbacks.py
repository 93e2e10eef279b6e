"""`fallbacks`: the models that take over when the one before declines (claude-api.md §5.2).

Beta server-side-fallback-2026-07-01; the one of June knows only the form that names models.  Each entry makes a request
of its own out of the caller's, which must be as valid as if it had been sent to that model.
"""

from __future__ import annotations

from typing import Any

from headgate.sim.errors import invalid
from headgate.sim.facts import FACTS, Model
from headgate.sim.request.rules import Rules
from headgate.sim.request.thinking import efforts_of
from headgate.sim.request.validate import find_model
from headgate.sim.settings import Fallbacks

__all__ = ["allowed_of", "bodies", "body_for", "recommended"]

DEFAULT_BETA = "server-side-fallback-2026-07-01"
"""The beta that knows `fallbacks: "default"`."""
MOST_ENTRIES = 3
_OVERRIDES = frozenset({"model", "max_tokens", "thinking", "output_config", "speed"})

Body = dict[str, Any]


def allowed_of(model: Model, settings: Fallbacks) -> tuple[str, ...]:
    """The ids of the models that may take over from `model`; none where it supports no fallback."""
    return settings.allowed.get(model.id, ())


def bodies(body: Body, model: Model, rules: Rules, settings: Fallbacks) -> list[Body]:
    """The requests to the models that the caller named, in order; none for `"default"`.

    Raises:
        ApiError: 400 for a list that is none, or names what may not take over from `model`; 404 for an unknown model.
    """
    named = body["fallbacks"]
    if named == "default" and isinstance(named, str):
        if rules.settings.fields_need_their_beta and DEFAULT_BETA not in rules.betas:
            raise invalid(f"fallbacks: 'default' needs the beta header {DEFAULT_BETA}")
        return []
    if not isinstance(named, list) or not 1 <= len(named) <= MOST_ENTRIES:
        raise invalid(f"fallbacks: Input should be 'default' or a list of 1 to {MOST_ENTRIES} entries")
    allowed = allowed_of(model, settings)
    if not allowed:
        raise invalid(f"'{model.id}' does not support the `fallbacks` parameter")
    taken = {model.id}
    made = []
    for number, entry in enumerate(named):
        place = f"fallbacks.{number}"
        if not isinstance(entry, dict):
            raise invalid(f"{place}: Input should be an object")
        if not entry.keys() <= _OVERRIDES:
            raise invalid(f"{place}: Extra inputs are not permitted")
        other = find_model(entry.get("model"), rules.today)
        if other.id in taken:
            raise invalid(f"{place}.model: must differ from the requested model and from the other entries")
        if other.id not in allowed:
            raise invalid(f"{place}.model: must be one of the permitted fallback models: {', '.join(allowed)}")
        taken.add(other.id)
        made.append(_merged(body, entry, other))
    return made


def recommended(model: Model, category: str | None, rules: Rules, settings: Fallbacks) -> str | None:
    """The id of the model that `"default"` means for a refusal of `category`; None where the refusal stands."""
    if category not in settings.recommended_for:
        return None
    for name in allowed_of(model, settings):
        known = FACTS.by_name.get(name)
        if known is not None and known.released_by(rules.today) and known.lifecycle(rules.today) != "retired":
            return name
    return None


def body_for(body: Body, model_id: str, rules: Rules) -> Body:
    """The request to a model that nobody named.

    Raises:
        ApiError: 404 for one that is not there.
    """
    return _merged(body, {"model": model_id}, find_model(model_id, rules.today))


def _merged(body: Body, entry: Body, model: Model) -> Body:
    """The caller's request with the overrides of one entry, as the SDK's types describe each of them."""
    merged = {name: value for name, value in body.items() if name != "fallbacks"}
    merged["model"] = model.id
    if entry.get("max_tokens") is not None:
        merged["max_tokens"] = entry["max_tokens"]
    _put(merged, "thinking", entry["thinking"] if "thinking" in entry else _thinking(body.get("thinking"), model))
    _put(merged, "output_config", _output_config(body, entry, model))
    speed = entry["speed"] if "speed" in entry else _speed(body, model)
    _put(merged, "speed", speed)
    return merged


def _put(body: Body, name: str, value: Any) -> None:
    body.pop(name, None)
    if value is not None:
        body[name] = value


def _thinking(asked: Any, model: Model) -> Any:
    """The request's own where the model has it; `between_tools` becomes `disabled` where that exists."""
    kind = asked.get("type") if isinstance(asked, dict) else None
    if kind in model.thinking_types:
        return asked
    return {"type": "disabled"} if kind == "between_tools" and "disabled" in model.thinking_types else None


def _output_config(body: Body, entry: Body, model: Model) -> Any:
    """One field at a time: the entry's, else the request's as far as the model takes it."""
    asked = body.get("output_config") or {}
    if "output_config" not in entry:
        given: Any = {}
    elif entry["output_config"] is None:
        return None
    else:
        given = entry["output_config"]
        if not isinstance(given, dict):
            return given  # which validation refuses
    merged = {**asked, **given}
    if "effort" not in given and merged.get("effort") not in efforts_of(model):
        merged.pop("effort", None)
    return {name: value for name, value in merged.items() if value is not None} or None


def _speed(body: Body, model: Model) -> str | None:
    return "fast" if body.get("speed") == "fast" and model.fast_mode is not None else None
