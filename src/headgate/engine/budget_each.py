"""Hold more money for what the hold of a call does not pay for."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from headgate.call import Attempt, Call, Reply
from headgate.core.call_hold import STEP_TOKENS, CallHold, Size
from headgate.core.grants import NEVER_MS, Account, Hold
from headgate.engine.budget import Budget
from headgate.engine.budgets import Budgets, Cover
from headgate.engine.filter import Proceed

__all__ = ["BudgetEach"]


class BudgetEach:
    """Holds more before an attempt that the call's hold does not pay for: another try after one that cost something,
    another model, a request that was changed on its way; and while a stream grows beyond what it was expected to cost.

    Below Retry and Fallback, above Admit: what cannot be paid must not wait for a turn.
    """

    def __init__(self, budgets: Budgets, budget: Budget) -> None:
        self._budgets = budgets
        self._desk = budgets.desk
        self._budget = budget

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        held = call.held
        if held is None:
            return proceed(call)
        record = call.record
        if (
            len(call.attempts) == 1
            and record.model == held.model
            and not record.stream
            and (call.body is held.body or not held.strict)
        ):
            return proceed(call)
        return self._more(call, held, proceed)

    async def _more(self, call: Call, held: CallHold, proceed: Proceed) -> Reply:
        size, accounts = held.size, held.accounts
        attempt = call.attempts[-1]
        before: dict[Account, int] = {}
        another_model = call.record.model != held.model
        another_body = held.strict and call.body is not held.body
        if len(call.attempts) > 1 or another_model or another_body:
            before = held.costs(call.attempts[:-1])
            now = self._budgets.cover(call.record)
            if another_model:
                if held.fitted != call.record.model:
                    held.fitted = call.record.model or ""
                    self._budget.as_asked(call)
                accounts = held.in_same_windows(now.accounts)
            budgets = [*(account.budget for account in accounts), *now.own]
            cover = Cover(tuple(accounts), NEVER_MS, any(budget.strict for budget in budgets), now.own)
            if budgets and (another_model or another_body):
                size = self._budget.sizes.of(call, cover)
            if cover.own or not held.hold.raise_to(size.wanted(accounts, before)):
                before_pico = held.cost(call.attempts[:-1])
                size = await self._budget.obtain(call, held.hold, size, cover, before, before_pico)
            held.sizes[attempt.record.attempt] = size, accounts
        reply = await proceed(call)
        if reply.stream is not None and any(not account.budget.strict for account in accounts):
            self._follow(attempt, held.hold, size, [each for each in accounts if not each.budget.strict], before)
        return reply

    def _follow(
        self, attempt: Attempt, hold: Hold, size: Size, accounts: list[Account], before: Mapping[Account, int]
    ) -> None:
        """Pay for a stream as it grows, a step ahead."""
        inner = attempt.on_growth

        def grown(output_tokens: int) -> None:
            if inner is not None:
                inner(output_tokens)
            amount = size.expected_input + (output_tokens + STEP_TOKENS) * size.output_rate
            if amount > size.expected:
                self._desk.grow(hold, {each: before.get(each, 0) + amount for each in accounts})

        attempt.on_growth = grown
