"""What a workflow's policy makes of a request: which model is asked, how long the answer may be, how hard it thinks.

Pure: the same request comes to the same decision, so a conversation is treated alike from turn to turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from headgate.core.body import REMOVED, with_fields
from headgate.core.catalog import EFFORTS, Catalog, Model
from headgate.core.history import HistoryBounds

__all__ = ["Decision", "ModelRule", "ShapePolicy", "Task", "decide", "effort_of", "fitting_effort", "with_effort"]

MOST_EFFORT_UNTHINKING = "high"
"""More is refused where thinking is disabled (claude-api.md §3)."""
LEAST_ANSWER = 256
"""Of `max_tokens`, beside what is for thinking."""

_raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, kw_only=True)
class ModelRule:
    """Another model for tasks of one kind: all that is set must hold of a call.  The first rule that does decides."""

    model: str
    """The model that is asked instead."""
    shadow: bool = False
    """The ledger tells what the rule would have done (`calls.shaped`); the call stays as it is."""
    max_input_tokens: int | None = None
    """Prompts of at most so many tokens, as estimated."""
    tools: bool | None = None
    """Calls with tools (true) or without (false)."""
    images: bool | None = None
    """Calls with images or documents (true) or without (false)."""
    tag: str | None = None
    """Calls with this tag."""
    system_contains: str | None = None
    """Calls whose system prompt has this text in it, as it is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapePolicy:
    """The policy of one workflow."""

    model: str | None = None
    models: tuple[str, ...] = ()
    max_tokens: int | None = None
    max_tokens_ceiling: int | None = None
    effort: str | None = None
    max_input_tokens: int | None = None
    rules: tuple[ModelRule, ...] = ()
    history_max_turns: int | None = None
    history_max_tokens: int | None = None
    shadow: bool = False

    @property
    def bounds_history(self) -> bool:
        return self.history_max_turns is not None or self.history_max_tokens is not None

    def history(self, bytes_per_token: float) -> HistoryBounds:
        tokens = self.history_max_tokens
        return HistoryBounds(self.history_max_turns, tokens * bytes_per_token if tokens is not None else None)


class Task(msgspec.Struct, frozen=True):
    """A request.  All but the first two is for rules, and need not be told where there are none."""

    document: Mapping[str, Any]
    model: str
    tags: Sequence[str] = ()
    messages: Sequence[Any] = ()
    """Up to what the user said last: what tools have said since changes no model in the middle of a turn."""
    input_tokens: Callable[[], float] = float
    """Of the request up to there, as estimated."""


class Decision(msgspec.Struct):
    """What is made of a request."""

    model: str
    changes: dict[str, Any] = {}
    """New values of its fields, without the model's."""
    effort: tuple[str | None, str | None] | None = None
    """The effort that was asked for, and the one to ask for instead; None: it stays."""
    notes: dict[str, Any] = {}
    """For the record: every change, from what to what."""
    shadow: dict[str, Any] = {}
    """For the record: what rules that are only watched would have done."""
    not_allowed: str | None = None
    """A field that names a model which the policy does not allow."""


def decide(policy: ShapePolicy, task: Task, catalog: Catalog, *, slow_model: str | None = None) -> Decision:
    """Apply a policy.

    Args:
        slow_model: the model that a budget has its calls slowed down to, in place of the policy's choice.
    """
    decision = Decision(task.model)
    _choose_model(policy, task, catalog, slow_model, decision)
    _bound_answer(policy, task, decision)
    _set_effort(policy, task, catalog, decision)
    return decision


# -- the model ---------------------------------------------------------------------------------------------------------


def _choose_model(
    policy: ShapePolicy, task: Task, catalog: Catalog, slow_model: str | None, decision: Decision
) -> None:
    document, asked = task.document, task.model
    by = ""
    if policy.models:
        decision.not_allowed = _not_allowed(document, asked, policy.models, catalog)
    if document.get("fallback_credit_token") is not None:
        return  # a retry with the model that the API named: another would lose the credit
    if policy.model is not None and (not policy.models or decision.not_allowed == "model"):
        decision.model, by = policy.model, "model"
        if decision.not_allowed == "model":
            decision.not_allowed = None
    if document.get("speed") != "fast":  # who asks for it has chosen a model that can
        for number, rule in enumerate(policy.rules, 1):
            if not _holds(rule, task):
                continue
            if rule.shadow:
                decision.shadow.setdefault("model", _note(asked, rule.model, f"rule {number}"))
                continue
            decision.model, by = rule.model, f"rule {number}"
            break
    if slow_model is not None:
        decision.model, by = slow_model, "budget"
    if decision.model == asked:
        return
    if catalog.model(decision.model).id == catalog.model(asked).id:
        decision.model = asked
    else:
        decision.notes["model"] = _note(asked, decision.model, by)


def _not_allowed(document: Mapping[str, Any], asked: str, allowed: Sequence[str], catalog: Catalog) -> str | None:
    if not _is_among(allowed, asked, catalog):
        return "model"
    others = document.get("fallbacks")
    if others is not None:  # a list, or the API's own choice, which nobody can know
        listed = others if isinstance(others, list) else [others]
        if not all(_names(other, allowed, catalog) for other in listed):
            return "fallbacks"
    tools = document.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and "model" in tool and not _names(tool, allowed, catalog):
            return "tools"
    return None


def _names(entry: Any, allowed: Sequence[str], catalog: Catalog) -> bool:
    model = entry.get("model") if isinstance(entry, dict) else None
    return isinstance(model, str) and _is_among(allowed, model, catalog)


def _is_among(models: Sequence[str], model: str, catalog: Catalog) -> bool:
    """By whatever name."""
    return model in models or catalog.model(model).id in {catalog.model(each).id for each in models}


def _holds(rule: ModelRule, task: Task) -> bool:
    document = task.document
    if rule.tag is not None and rule.tag not in task.tags:
        return False
    if rule.tools is not None and bool(document.get("tools")) is not rule.tools:
        return False
    if rule.system_contains is not None and rule.system_contains not in _system_text(document.get("system")):
        return False
    if rule.images is not None and _shows_images(task.messages) is not rule.images:
        return False
    return rule.max_input_tokens is None or task.input_tokens() <= rule.max_input_tokens


def _system_text(system: Any) -> str:
    if isinstance(system, list):
        return "\n".join(str(block.get("text")) for block in system if isinstance(block, dict))
    return system if isinstance(system, str) else ""


def _shows_images(messages: Sequence[Any]) -> bool:
    """Also those that tools have returned."""
    stack: list[Any] = [*messages]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            if value.get("type") in ("image", "document"):
                return True
            stack.append(value.get("content"))
    return False


def _note(before: Any, after: Any, by: str | None = None) -> dict[str, Any]:
    return {"from": before, "to": after} | ({"by": by} if by else {})


# -- the answer --------------------------------------------------------------------------------------------------------


def _bound_answer(policy: ShapePolicy, task: Task, decision: Decision) -> None:
    asked = task.document.get("max_tokens")
    most = asked if asked is not None else policy.max_tokens
    if most is None:
        return
    ceiling = policy.max_tokens_ceiling
    if ceiling is not None and most > ceiling:
        most = ceiling
    if most != asked:
        thinking = task.document.get("thinking")
        budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        if isinstance(budget, int):  # the API wants more than what is for thinking
            least = budget + LEAST_ANSWER
            most = max(most, least if asked is None else min(asked, least))
    if most != asked:
        decision.changes["max_tokens"] = most
        decision.notes["max_tokens"] = _note(asked, most)


def _set_effort(policy: ShapePolicy, task: Task, catalog: Catalog, decision: Decision) -> None:
    wanted = given = effort_of(task.document)
    if given is not None and given not in EFFORTS:
        return  # the API's to judge
    if policy.effort is not None and (given is None or EFFORTS.index(given) > EFFORTS.index(policy.effort)):
        wanted = policy.effort
    if wanted is None or (wanted == given and decision.model == task.model):
        return
    effort = fitting_effort(task.document, wanted, catalog.model(decision.model))
    if effort != given:
        decision.effort = given, effort
        decision.notes["effort"] = _note(given, effort)


# -- effort ------------------------------------------------------------------------------------------------------------


def effort_of(document: Mapping[str, Any]) -> str | None:
    """The effort that a request asks for."""
    config = document.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    return effort if isinstance(effort, str) else None


def fitting_effort(document: Mapping[str, Any], wanted: str, model: Model) -> str | None:
    """As much of the effort that is `wanted` as `model` takes; None: it takes none.  One that is no effort stays."""
    if wanted not in EFFORTS:
        return wanted
    taken = model.efforts
    thinking = document.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "disabled":
        taken = tuple(each for each in taken if EFFORTS.index(each) <= EFFORTS.index(MOST_EFFORT_UNTHINKING))
    return next((each for each in reversed(EFFORTS[: EFFORTS.index(wanted) + 1]) if each in taken), None)


def with_effort(document: Mapping[str, Any], body: bytes, effort: str | None) -> tuple[Any, Any]:
    """The field `output_config` with another effort, None for none: as JSON, of which the rest stays as it stands in
    `body`, and as it reads.  Both `REMOVED` if nothing is left of it."""
    config = document.get("output_config")
    if not isinstance(config, dict):
        made = {"effort": effort} if effort is not None else REMOVED
        return made, made
    changed = {name: value for name, value in config.items() if name != "effort"}
    if effort is not None:
        changed["effort"] = effort
    if not changed:
        return REMOVED, REMOVED
    raw = _raw_fields(body)["output_config"]
    return msgspec.Raw(with_fields(bytes(raw), {"effort": REMOVED if effort is None else effort})), changed
