"""What an attempt for a call can cost, and how many tokens its answer may need: learned from those before it."""

from __future__ import annotations

from headgate.call import Call
from headgate.clock import utc_day
from headgate.core.affordable import for_thinking
from headgate.core.budget import Budget
from headgate.core.call_hold import CallHold, Size
from headgate.core.catalog import Catalog
from headgate.core.cost_bound import LONGEST_OUTPUT, input_bound, input_rate, unbounded
from headgate.core.estimate import Estimator
from headgate.core.outputs import Outputs
from headgate.core.price import PriceBook
from headgate.core.prompt_sizes import PromptSizes
from headgate.engine.budgets import Cover
from headgate.errors import BudgetSpent, NotAllowed
from headgate.events import Reason

__all__ = ["CallSizes"]


class CallSizes:
    """Of calls that budgets cover."""

    def __init__(self, prices: PriceBook, catalog: Catalog, estimator: Estimator) -> None:
        self._prices = prices
        self._catalog = catalog
        self._estimator = estimator
        self._outputs = Outputs()
        self._prompts = PromptSizes()

    def of(self, call: Call, cover: Cover) -> Size:
        """What an attempt for the model that is asked now can cost.

        Raises:
            NotAllowed: the model has no price.
            BudgetSpent: a strict budget covers the call, and nothing bounds its cost.
        """
        record, document = call.record, call.document
        model = record.model
        assert model is not None
        assert document is not None
        asked = document.get("max_tokens")
        max_tokens = asked if isinstance(asked, int) else LONGEST_OUTPUT
        habit = self._estimator.habit(record.workflow, model, self._catalog.model(model).tokenizer)
        fresh, read = habit.split(call.size, counted=call.counted_tokens)
        output_tokens = min(habit.output, max_tokens)
        input_tokens = fresh + read
        day, us = utc_day(record.started_ms), call.geo == "us"
        rates = self._prices.token_rates(model, day, int(input_tokens), fast=call.fast, us=us)
        if rates is None:
            raise NotAllowed(
                "model: a budget covers this call, and Headgate has no price for this model, so the call is not sent. "
                "Add a row for it (prices.file, see `headgate prices --toml`).",
                reason=Reason.NO_PRICE,
                status=404,
            )
        expected = int(fresh) * rates.input + int(read) * rates.read, int(output_tokens) * rates.output
        if not cover.strict:
            return Size(*expected, 0, rates.output, max_tokens)
        if (why := unbounded(document)) is not None:
            name = next(budget.name for budget in _budgets_of(cover) if budget.strict)
            raise BudgetSpent(
                f"the budget {name} is strict, and nothing bounds what this call costs: it uses {why}. Leave that out, "
                "or have the budget made smooth.",
                retry_after_s=None,
            )
        most_tokens = input_bound(document, call.body)
        told = self._prompts.most(record.workflow, model, call.body, call.counted_tokens)
        if told is not None and told < most_tokens:
            most_tokens = told
        dearest = self._prices.token_rates(model, day, most_tokens, fast=call.fast, us=us) or rates
        most_input = most_tokens * input_rate(dearest, call.body)
        return Size(*expected, most_input, dearest.output, max_tokens, strict=True)

    def needed(self, call: Call) -> int | None:
        """Tokens that the answer to `call` may need."""
        record = call.record
        need = self._outputs.needed(record.workflow, record.model or "")
        return None if need is None else max(need, for_thinking(call.document))

    def learn(self, call: Call, held: CallHold) -> None:
        """From a call that has ended."""
        attempts = call.attempts
        if held.strict and attempts:
            record, facts = attempts[-1].record, attempts[-1].facts
            if facts is not None and record.output_tokens and record.error is None:
                usage = facts.usage
                if usage is not None and not usage.iterations and record.model_answered is not None:
                    self._prompts.observe(
                        call.record.workflow, held.model, held.body, usage.prompt, call.counted_tokens
                    )
                self._outputs.observe(
                    call.record.workflow,
                    held.model,
                    record.output_tokens,
                    cut=facts.stop_reason == "max_tokens" and held.size.max_tokens != call.record.max_tokens,
                )


def _budgets_of(cover: Cover) -> list[Budget]:
    return [*(account.budget for account in cover.accounts), *cover.own]
