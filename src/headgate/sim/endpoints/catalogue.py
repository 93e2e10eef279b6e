"""`GET /v1/models`: the catalogue, with each model's stage on the simulated day (claude-api.md §11)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from headgate.sim.errors import ApiError, invalid
from headgate.sim.facts import FACTS, Model, RetiredModel
from headgate.sim.pages import Query, page
from headgate.sim.request.fallbacks import allowed_of
from headgate.sim.request.thinking import efforts_of
from headgate.sim.settings import Fallbacks

__all__ = ["View", "list_models", "one_model"]

STAGES = ("active", "deprecated", "retired")
FALLBACK_BETAS = frozenset({"server-side-fallback-2026-07-01", "server-side-fallback-2026-06-01"})
COMPACTION_BETA = "compact-2026-09-04"
UNKNOWN_DAY = "1970-01-01T00:00:00Z"
"""What the API says where the day of release is not known."""


@dataclass(frozen=True, slots=True)
class View:
    """Who looks at the catalogue: on which day, under which betas (`allowed_fallback_models`, `compaction`)."""

    today: date
    betas: frozenset[str]
    fallbacks: Fallbacks


def list_models(query: Query, view: View) -> dict[str, Any]:
    """One page, newest first; retired models only on request.

    Raises:
        ApiError: 400 for a `lifecycle` that does not exist.
    """
    named = [stage for key in ("lifecycle", "lifecycle[]") for text in query.get(key, ()) for stage in text.split(",")]
    if not set(named) <= set(STAGES):
        raise invalid(f"lifecycle: Input should be one of {', '.join(STAGES)}")
    wanted = set(named) or {"active", "deprecated"}
    told = [_told(model, view) for model in _newest_first() if model.released_by(view.today)]
    told += [_told_retired(model) for model in FACTS.retired_models]
    return page([model for model in told if model["lifecycle"] in wanted], query, dict)


def one_model(name: str, view: View) -> dict[str, Any]:
    """One model by id or alias.

    Raises:
        ApiError: 404.
    """
    model = FACTS.by_name.get(name)
    if model is not None and model.released_by(view.today):
        return _told(model, view)
    for retired in FACTS.retired_models:
        if retired.id == name:
            return _told_retired(retired)
    raise ApiError(404, "model: no such model is available. See GET /v1/models.")


def _newest_first() -> list[Model]:
    return sorted(FACTS.models, key=lambda model: model.released or date.min, reverse=True)


def _told(model: Model, view: View) -> dict[str, Any]:
    stage = model.lifecycle(view.today)
    told: dict[str, Any] = {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name,
        "created_at": _midnight(model.released) or UNKNOWN_DAY,
        "line": model.line,
        "lifecycle": stage,
        "deprecated_at": _midnight(model.deprecated_on) if stage != "active" else None,
        "retires_at": _midnight(model.retires_on) if stage != "active" else None,
        "max_input_tokens": model.context_window_tokens,
        "max_tokens": model.max_output_tokens,
        "capabilities": _capabilities(model, view),
    }
    if not view.betas.isdisjoint(FALLBACK_BETAS):
        told["allowed_fallback_models"] = list(allowed_of(model, view.fallbacks))
    return told


def _told_retired(model: RetiredModel) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name,
        "created_at": UNKNOWN_DAY,
        "line": next((line for line in ("opus", "sonnet", "haiku") if line in model.id), None),
        "lifecycle": "retired",
        "deprecated_at": None,
        "retires_at": _midnight(model.retired_on),
        "max_input_tokens": None,
        "max_tokens": None,
        "capabilities": None,
    }


def _capabilities(model: Model, view: View) -> dict[str, Any]:
    """What requests to the model are held to: thinking and effort by model.  Of the rest the sheet knows no model
    without it."""
    efforts = efforts_of(model)
    clearing = ("clear_thinking_20251015", "clear_tool_uses_20250919", "compact_20260112")
    told: dict[str, Any] = {
        "batch": _flag(True),
        "citations": _flag(True),
        "code_execution": _flag(True),
        "context_management": {"supported": True, **{name: _flag(True) for name in clearing}},
        "effort": {
            "supported": bool(efforts),
            **{level: _flag(level in efforts) for level in ("low", "medium", "high", "xhigh", "max")},
        },
        "image_input": _flag(True),
        "pdf_input": _flag(True),
        "server_tools": {"supported": True, "web_search": _flag(True), "code_execution": _flag(True)},
        "structured_outputs": _flag(True),
        "thinking": {
            "supported": True,
            "types": {
                kind: _flag(kind in model.thinking_types)
                for kind in ("adaptive", "enabled", "disabled", "between_tools")
            },
        },
    }
    if COMPACTION_BETA in view.betas:
        told["compaction"] = {"supported": True, "summarize": _flag(True)}
    return told


def _flag(supported: bool) -> dict[str, bool]:
    return {"supported": supported}


def _midnight(day: date | None) -> str | None:
    return None if day is None else f"{day.isoformat()}T00:00:00Z"
