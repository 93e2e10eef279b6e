"""Hold calls to the policy of their workflow: which model, how long an answer, how much history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import date
from typing import Any

import msgspec

from headgate.call import Call, Kind, Reply
from headgate.config.schema import Config, WorkflowConfig
from headgate.core.body import REMOVED, messages_of, with_fields
from headgate.core.catalog import Catalog
from headgate.core.estimate import BYTES_PER_TOKEN, CALIBRATED_ERROR, MESSAGE_BYTES, Estimator, Habit
from headgate.core.history import Cut, cut_history, sizes_of, up_to_turn
from headgate.core.price import PriceBook
from headgate.core.shape import Decision, ShapePolicy, Task, decide, with_effort
from headgate.core.untouchable import is_claude_code
from headgate.engine.budgets import Budgets
from headgate.engine.filter import Proceed
from headgate.engine.not_admitted import MOST_BYTES_PER_TOKEN
from headgate.errors import BadRequest, ConfigError
from headgate.events import Reason

__all__ = ["Shape", "shape_policies"]

NOTHING = ShapePolicy()
SURE = 2 * CALIBRATED_ERROR
"""An estimate of a kind of call that is known well is taken to be no further off than this."""

_encode = msgspec.json.Encoder().encode


class Shape:
    """Changes a request as its workflow's policy says, and only where it says something; all other bytes stay.

    Below Lint, which judges what callers send; above Memo, PromptCache and Budget, since it changes what is asked and
    what that costs.  What was done, or would have been in the shadow, stands in the call's record.
    """

    def __init__(
        self,
        policies: Mapping[str, ShapePolicy],
        catalog: Catalog,
        estimator: Estimator,
        *,
        budgets: Budgets | None = None,
        count: Callable[[Call], Awaitable[int | None]] | None = None,
    ) -> None:
        """
        Args:
            policies: by workflow.
            budgets: those that are nearly spent may want a call slowed.
            count: has the API count the input tokens of a call.
        """
        self._policies = policies
        self._catalog = catalog
        self._estimator = estimator
        self._budgets = budgets
        self._count = count

    @property
    def does_nothing(self) -> bool:
        """Whether there is neither a policy nor a budget."""
        return not self._policies and self._budgets is None

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        if call.kind is not Kind.MESSAGES:
            return proceed(call)
        looking = self._budgets.look_for_changes() if self._budgets is not None else None
        if looking is not None:
            return self._when_known(looking, call, proceed)
        return self._go_on(call, proceed)

    async def _when_known(self, looking: Awaitable[None], call: Call, proceed: Proceed) -> Reply:
        await looking
        return await self._go_on(call, proceed)

    def _go_on(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        policy = self._policies.get(call.record.workflow)
        slow = self._budgets.slowdown(call) if self._budgets is not None else None
        if policy is None and slow is None:
            return proceed(call)
        policy = policy or NOTHING
        self._shape(call, policy, slow)
        most = policy.max_input_tokens
        if most is not None and not policy.shadow and call.size > most:  # a token has a byte at least
            return self._within_length(call, most, proceed)
        return proceed(call)

    def _shape(self, call: Call, policy: ShapePolicy, slow: str | None) -> None:
        shadow: dict[str, Any] = {}
        if policy.shadow:
            shadow = self._watched(call, policy)
            policy = NOTHING
        kind, _, target = slow.partition(":") if slow is not None else ("", "", "")
        decision = self._decide(call, policy, target if kind == "model" else None)
        if decision.not_allowed is not None:
            raise BadRequest(
                f"{decision.not_allowed}: this workflow may not use this model. Ask one of "
                f"{', '.join(policy.models)}, or have workflows.*.models changed.",
                reason=Reason.MODEL_NOT_ALLOWED,
            )
        self._apply(call, policy, decision)
        if kind == "lane" and call.record.lane != target:
            decision.notes["lane"] = {"from": call.record.lane, "to": target, "by": "budget"}
            call.record.lane = target
        shadow = shadow or decision.shadow
        if decision.notes or shadow:
            call.record.reason = _reason_of(decision.notes) or call.record.reason
            call.record.shaped = _encode({**decision.notes, **({"shadow": shadow} if shadow else {})}).decode()

    def _decide(self, call: Call, policy: ShapePolicy, slow_model: str | None) -> Decision:
        task = self._task(call, with_all=bool(policy.rules))
        return decide(policy, task, self._catalog, slow_model=slow_model)

    def _task(self, call: Call, *, with_all: bool) -> Task:
        """What is asked; `with_all` that rules look at."""
        record, document = call.record, call.document
        model = record.model
        assert document is not None
        assert model is not None
        if not with_all:
            return Task(document, model)
        messages = document.get("messages")
        messages = messages if isinstance(messages, list) else []
        begun = up_to_turn(messages)

        def input_tokens() -> float:
            since = sum(sizes_of(messages[begun:], messages_of(call.body)[begun:])) if begun < len(messages) else 0
            return (call.size - since) * self._habit(call).tokens_per_byte

        tags = record.tags.split(",") if record.tags else ()
        return Task(document, model, tags, messages[:begun], input_tokens)

    def _watched(self, call: Call, policy: ShapePolicy) -> dict[str, Any]:
        """What a policy would do, for the record."""
        decision = self._decide(call, policy, None)
        told = decision.shadow | decision.notes
        if decision.not_allowed is not None:
            told["refused"] = decision.not_allowed
        most = policy.max_input_tokens
        if most is not None and call.size * self._habit(call).tokens_per_byte > most:
            told["refused"] = "max_input_tokens"
        cut = self._cut(call, policy, decision.model)
        if cut is not None:
            told["history"] = self._told(call, cut)
        return told

    # -- what is changed ----------------------------------------------------------------------------------------

    def _apply(self, call: Call, policy: ShapePolicy, decision: Decision) -> None:
        record, document = call.record, call.document
        assert document is not None
        changes = dict(decision.changes)
        values: dict[str, Any] = {}
        """Of what stands in `changes` as the JSON that it is, or is taken out."""
        size = call.size
        if decision.model != record.model:
            changes["model"] = decision.model
        if decision.effort is not None:
            changes["output_config"], values["output_config"] = with_effort(document, call.body, decision.effort[1])
        cut = self._cut(call, policy, decision.model)
        if cut is not None:
            told = decision.notes["history"] = self._told(call, cut)
            record.dropped_messages, record.dropped_tokens = told["messages"], told["tokens"]
            changes["messages"] = msgspec.Raw(b"[" + b",".join(cut.kept) + b"]")
            values["messages"] = document["messages"][cut.dropped :]
            size = max(size - cut.dropped_size, MESSAGE_BYTES)
        if not changes:
            return
        shaped = {**document, **changes, **values}
        shaped = {name: value for name, value in shaped.items() if value is not REMOVED}
        call.rewrite(shaped, with_fields(call.body, changes), size=size)
        record.model = decision.model
        record.max_tokens = decision.changes.get("max_tokens", record.max_tokens)

    def _cut(self, call: Call, policy: ShapePolicy, model: str) -> Cut | None:
        """What of the history to leave out."""
        document = call.document
        if not policy.bounds_history or document is None:
            return None
        known = self._catalog.model(model)
        bounds = policy.history(BYTES_PER_TOKEN.get(known.tokenizer, BYTES_PER_TOKEN["claude-4.7"]))
        cut = cut_history(document, call.body, call.size, bounds, prefix_check=known.prefix_check)
        if cut is None or is_claude_code(call.record.workflow, call.headers, document):
            return None
        return cut

    def _told(self, call: Call, cut: Cut) -> dict[str, int]:
        tokens = round(cut.dropped_size * self._habit(call).tokens_per_byte)
        return {"messages": cut.dropped, "tokens": tokens}

    def _habit(self, call: Call) -> Habit:
        model = call.record.model or ""
        return self._estimator.habit(call.record.workflow, model, self._catalog.model(model).tokenizer)

    # -- what is refused ----------------------------------------------------------------------------------------

    async def _within_length(self, call: Call, most: int, proceed: Proceed) -> Reply:
        """Refuse a prompt that is too long.  Where the estimate leaves a doubt the API counts it, which is free."""
        tokens: float | None = call.counted_tokens
        if tokens is None:
            habit = self._habit(call)
            tokens = call.size * habit.tokens_per_byte
            least, longest = call.size / MOST_BYTES_PER_TOKEN, float(call.size)
            if habit.calibrated:
                least, longest = max(least, tokens * (1 - SURE)), min(longest, tokens * (1 + SURE))
            if least <= most < longest and self._count is not None:
                tokens = await self._count(call) or tokens
        if tokens > most:
            # The first words are the API's own, by which clients know that they have to send less.
            raise BadRequest(
                f"prompt is too long: {tokens:.0f} tokens > {most} maximum, which this workflow allows. Send less, or "
                "have workflows.*.max_input_tokens raised.",
                reason=Reason.INPUT_TOO_LONG,
            )
        return await proceed(call)


def _reason_of(notes: Mapping[str, Any]) -> Reason | None:
    """Of all that was changed, what a caller most wants to know."""
    if "lane" in notes or notes.get("model", {}).get("by") == "budget":
        return Reason.BUDGET_SLOWED
    if "history" in notes:
        return Reason.HISTORY_CUT
    if "model" in notes:
        return Reason.MODEL_CHOSEN
    if "max_tokens" in notes and notes["max_tokens"]["from"] is not None:
        return Reason.MAX_TOKENS_LOWERED
    return None


# -- settings ----------------------------------------------------------------------------------------------------------


def shape_policies(config: Config, prices: PriceBook, day: date) -> dict[str, ShapePolicy]:
    """By workflow, of those that have one.

    Raises:
        ConfigError: a model that is named, here or in a budget, has no price.
    """

    def check(place: str, model: str | None) -> None:
        if model is not None and config.prices.unknown_model == "refuse" and prices.find(model, day) is None:
            raise ConfigError(
                f"{place}: the model {model!r} has no price, so calls for it would be refused; `headgate prices` lists "
                "the models that have one"
            )

    policies: dict[str, ShapePolicy] = {}
    for name, workflow in config.workflows.items():
        check(f"workflows.{name}.model", workflow.model)
        for model in workflow.models:
            check(f"workflows.{name}.models", model)
        for number, rule in enumerate(workflow.rules):
            check(f"workflows.{name}.rules[{number}].model", rule.model)
        policy = _policy_of(workflow)
        if policy != NOTHING:
            policies[name] = policy
    for name, budget in config.budgets.items():
        check(f"budgets.{name}.model", budget.model)
        kind, _, target = (budget.slow or "").partition(":")
        check(f"budgets.{name}.slow", target if kind == "model" else None)
    return policies


def _policy_of(workflow: WorkflowConfig) -> ShapePolicy:
    policy = ShapePolicy(
        model=workflow.model,
        models=workflow.models,
        max_tokens=workflow.max_tokens,
        max_tokens_ceiling=workflow.max_tokens_ceiling,
        effort=workflow.effort,
        max_input_tokens=workflow.max_input_tokens,
        rules=workflow.rules,
        history_max_turns=workflow.history_max_turns,
        history_max_tokens=workflow.history_max_tokens,
        shadow=workflow.shape_shadow,
    )
    return NOTHING if policy == ShapePolicy(shadow=policy.shadow) else policy
