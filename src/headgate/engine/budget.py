"""Hold money for a call in every budget that covers it, or do not send it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from headgate.call import Call, Kind, Reply, Standing
from headgate.clock import Clock, milliseconds, utc, utc_day
from headgate.config.schema import LaneConfig
from headgate.core.body import with_fields
from headgate.core.budget import Budget as BudgetInForce
from headgate.core.call_hold import CallHold, Size
from headgate.core.catalog import Catalog
from headgate.core.cost_bound import LONGEST_OUTPUT, input_bound, input_rate, unbounded
from headgate.core.estimate import Estimator
from headgate.core.grants import NEVER_MS, Account, Hold, take
from headgate.core.outputs import Outputs
from headgate.core.price import PriceBook
from headgate.core.prompt_sizes import PromptSizes
from headgate.engine.batch_results import BatchResults
from headgate.engine.budgets import Budgets, Cover
from headgate.engine.filter import Proceed
from headgate.errors import BudgetSpent, NotAllowed
from headgate.events import Reason
from headgate.records import BatchItemRecord

__all__ = ["Budget"]

LEAVES = 4
"""Where `max_tokens` has to be lowered, a call takes a quarter of what is left at most, unless it needs more: others
want to go on too."""
ENOUGH_TOKENS = 4_096
"""Where nothing is known of a workflow's answers, so many are taken to be enough before a call is refused."""
SOME_TOKENS = 1_024
"""Where there is not even money for so many, fewer: else a small budget would never let a first call through, and
nothing would ever be known."""
ITEMS_KEPT = 100_000
"""Results of batches that were charged, so that they are not when they are fetched again."""
LEAST_WAIT_S = 0.001
"""Less is an error of arithmetic."""
LEAST_ANSWER = 256
"""Beside what is for thinking."""
NOTHING = Size(0, 0, 0, 0, 0)
UNSURE = 1.5
"""Where the bytes of a prompt allow for so many times more than is expected, and there is too little money for that,
the API is asked to count it, which is free."""


class Budget:
    """One hold over all budgets that cover a call, in all of them or in none; settled by what its attempts cost,
    however it ends.

    Below everything that changes the request, since that changes its price, and below the memo, which costs nothing;
    above Fallback and Retry, since one hold is for the whole call.
    """

    def __init__(
        self,
        budgets: Budgets,
        prices: PriceBook,
        catalog: Catalog,
        estimator: Estimator,
        clock: Clock,
        lanes: Mapping[str, LaneConfig],
        count: Callable[[Call], Awaitable[int | None]] | None = None,
    ) -> None:
        """
        Args:
            count: has the API count the tokens of a prompt.
        """
        self._count = count
        self._budgets = budgets
        self._desk = budgets.desk
        self._prices = prices
        self._catalog = catalog
        self._estimator = estimator
        self._clock = clock
        self._lanes = lanes
        self._outputs = Outputs()
        self._prompts = PromptSizes()
        self._items: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        if call.kind is not Kind.MESSAGES:
            return await self._other(call, proceed)
        budgets = self._budgets
        if (looking := budgets.look_for_changes()) is not None:
            await looking
        cover = budgets.cover(call.record)
        if cover.accounts or cover.own:
            size = self.size_of(call, cover)
        elif budgets.by_model:
            size = NOTHING  # but another model may be asked, which a budget covers
        else:
            return await proceed(call)
        hold = take(size.wanted(cover.accounts)) if not cover.own else None
        held = call.held = CallHold(hold or Hold({}), call.record.model or "", call.body, size, cover.accounts)
        try:
            if hold is None:
                held.size = await self.obtain(call, held.hold, size, cover)
                held.body = call.body
            reply = await proceed(call)
        except BaseException:
            call.when_settled(partial(self._settle, call, held))
            self.as_asked(call)
            raise
        stream = reply.stream
        if stream is None:
            self._settle(call, held)
        else:
            stream.on_end(partial(self._settle, call, held))
        if cover.accounts:
            standing = call.standing = call.standing or Standing()
            standing.budget = _tightest(cover.accounts)
        return reply

    async def _other(self, call: Call, proceed: Proceed) -> Reply:
        """A Message Batch costs what its results say, when they come, and another path what nobody tells: strict
        budgets refuse to begin them, the others if they are spent."""
        if call.kind is Kind.BATCHES and call.method == "GET":
            reply = await proceed(call)
            if isinstance(reply.stream, BatchResults):
                reply.stream.on_items = partial(self._charge_items, call)
            return reply
        if call.method != "POST" or call.resource_id is not None or call.kind not in (Kind.BATCHES, Kind.UNMETERED):
            return await proceed(call)
        strict = self._budgets.strict_for(call.record)
        if strict is not None:
            raise BudgetSpent(
                f"the budget {strict.name} is strict, and nothing bounds what this request costs; send its items as "
                "messages, or have the budget made smooth.",
                retry_after_s=None,
            )
        cover = self._budgets.cover(call.record)
        hold = Hold({})
        try:
            if cover.accounts:
                await self._wait_for(call, hold, dict.fromkeys(cover.accounts, 1), None)
            return await proceed(call)
        finally:
            self._desk.settle(hold, {})

    def _charge_items(self, call: Call, items: Sequence[BatchItemRecord]) -> None:
        """Results of a batch pass, each charged the first time that this process sees it, to whoever made the batch, in
        the window in which it is seen."""
        for item in items:
            seen = (item.batch_id, item.custom_id)
            if item.cost_pico and seen not in self._items:
                self._items[seen] = None
                if len(self._items) > ITEMS_KEPT:
                    self._items.popitem(last=False)
                made_for = {"workflow": item.workflow, "user": item.user, "session": item.session}
                record = replace(call.record, model=item.model_answered, **made_for)
                self._desk.charge(self._budgets.cover(record).accounts, item.cost_pico)

    # -- how much -----------------------------------------------------------------------------------------------

    def size_of(self, call: Call, cover: Cover) -> Size:
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

    # -- or not at all ------------------------------------------------------------------------------------------

    async def obtain(
        self,
        call: Call,
        hold: Hold,
        size: Size,
        cover: Cover,
        before: Mapping[Account, int] | None = None,
        before_pico: int = 0,
    ) -> Size:
        """Hold what an attempt wants, on top of what those before it were charged, in each account and in all.  Lowers
        `max_tokens` where a strict budget has too little left, waits for other calls to end, and gives up.

        Returns:
            The size of the call as it is then.

        Raises:
            BudgetSpent: there is no room, and none came free in time.
        """
        unsure = cover.strict and size.most_input > UNSURE * size.expected_input and call.counted_tokens is None
        if unsure and self._count is not None and await self._count(call) is not None:
            size = self.size_of(call, cover)
        for budget in cover.own:
            size = self._within(call, size, budget, before_pico)
        while True:
            try:
                lowered = await self._wait_for(call, hold, size.wanted(cover.accounts, before), size)
            except BudgetSpent:
                known = self.size_of(call, cover)  # others have been answered meanwhile
                if known.most >= size.most:
                    raise
                size = known
                continue
            if lowered is None:
                return size
            size = self._lower(call, size, lowered)

    async def _wait_for(self, call: Call, hold: Hold, wanted: Mapping[Account, int], size: Size | None) -> int | None:
        """Hold `wanted`; None: it is held.  Otherwise the `max_tokens` with which it may be.

        Args:
            size: of the attempt, if its `max_tokens` can be lowered.
        """
        desk, clock = self._desk, self._clock
        began_s = clock.now_s()
        patience_s = min(self._lanes[call.record.lane].max_wait_s, call.deadline_s - began_s)
        tries = 0
        try:
            while True:
                short = desk.waiters.must_wait(hold.parts, wanted) if not tries else None
                short = short or await desk.draw(hold, wanted)
                if short is None:
                    return None
                need = self._needed(call) if size is not None else None
                if need is not None and (lowered := _affordable(hold, wanted, size, need)) is not None:
                    return lowered
                left_s = patience_s - (clock.now_s() - began_s)
                if left_s < LEAST_WAIT_S or short.really_spent + wanted[short] - hold.parts.get(short, 0) > short.limit:
                    if need is None and (lowered := _affordable(hold, wanted, size, _some(call), ENOUGH_TOKENS)):
                        return lowered
                    raise self._spent(short)
                tries = await desk.waiters.come_free(short, left_s, tries)
                if (looking := self._budgets.look_for_changes()) is not None:
                    await looking
        finally:
            if tries:
                desk.has_room(wanted)
            if (waited_s := clock.now_s() - began_s) > 0:
                call.record.queue_ms += milliseconds(waited_s)

    def _needed(self, call: Call) -> int | None:
        """Tokens that the answer to `call` may need."""
        record = call.record
        need = self._outputs.needed(record.workflow, record.model or "")
        return None if need is None else max(need, _for_thinking(call))

    def _lower(self, call: Call, size: Size, max_tokens: int) -> Size:
        assert call.document is not None
        call.rewrite(
            {**call.document, "max_tokens": max_tokens}, with_fields(call.body, {"max_tokens": max_tokens})
        )  # fmt: skip
        call.record.reason = Reason.MAX_TOKENS_LOWERED
        return size.with_output(max_tokens)

    def as_asked(self, call: Call) -> None:
        """Have a call ask for as many tokens again as it did before they were lowered to what the price of a model
        allowed: another model has another price."""
        document, asked = call.document, call.record.max_tokens
        if document is not None and asked is not None and document.get("max_tokens") != asked:
            call.rewrite({**document, "max_tokens": asked}, with_fields(call.body, {"max_tokens": asked}))

    def _within(self, call: Call, size: Size, budget: BudgetInForce, before_pico: int) -> Size:
        """`size` inside a budget that every call has for itself."""
        limit = None if budget.refuse_pico is None else budget.refuse_pico - before_pico
        amount = size.most if budget.strict else size.expected
        if limit is None or amount <= limit:
            return size
        tokens = (limit - size.most_input) // size.output_rate if size.output_rate else 0
        if budget.strict and tokens >= (self._needed(call) or _some(call)):
            return self._lower(call, size, tokens)
        raise BudgetSpent(
            f"this call may cost more than the budget {budget.name} has for one {budget.window}. Lower max_tokens, "
            "send less, or have the budget raised.",
            retry_after_s=None,
        )

    def _spent(self, account: Account) -> BudgetSpent:
        self._desk.refused(account)
        budget = account.budget
        whose = " of this " + " and ".join(budget.per).replace("_", " ") if budget.per else ""
        if account.end_ms == NEVER_MS:
            return BudgetSpent(
                f"the budget {budget.name}{whose} has too little left for this call. Begin another session, or have "
                "the budget raised.",
                retry_after_s=None,
            )
        calendar = budget.calendar
        assert calendar is not None
        reset = utc(account.end_ms).astimezone(calendar.zone)
        return BudgetSpent(
            f"the budget {budget.name}{whose} has too little left for this call in this {budget.window}; it begins "
            f"anew at {reset:%Y-%m-%d %H:%M} ({budget.zone}). Come back then, ask for less, or have the budget raised.",
            retry_after_s=max(0.0, (account.end_ms - self._clock.unix_ms()) / 1000),
        )

    # -- the end ------------------------------------------------------------------------------------------------

    def _settle(self, call: Call, held: CallHold) -> None:
        attempts = call.attempts
        self._desk.settle(held.hold, held.costs(attempts) if attempts else {})
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


def _affordable(
    hold: Hold, wanted: Mapping[Account, int], size: Size | None, need: int, enough: int | None = None
) -> int | None:
    """The `max_tokens` with which an attempt fits into its strict budgets; None: with none that its answer may need.

    Args:
        need: tokens without which it is not worth while.
        enough: that it gets if there are so many; the same unless told.
    """
    if size is None or need >= size.max_tokens or not size.output_rate:
        return None
    tokens = size.max_tokens
    for account, amount in wanted.items():
        if account.budget.strict:
            over = amount - hold.parts.get(account, 0) - account.rest
            if over > 0:
                tokens = min(tokens, size.max_tokens - -(-over // size.output_rate))
    if tokens < need or tokens == size.max_tokens:
        return None
    return max(min(enough or need, tokens), tokens // LEAVES)


def _some(call: Call) -> int:
    """Tokens that are worth while although nothing is known of answers."""
    return max(SOME_TOKENS, _for_thinking(call))


def _for_thinking(call: Call) -> int:
    """The least `max_tokens` that the API takes beside what is for thinking."""
    thinking = (call.document or {}).get("thinking")
    budget_tokens = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return budget_tokens + LEAST_ANSWER if isinstance(budget_tokens, int) else 0


def _budgets_of(cover: Cover) -> list[BudgetInForce]:
    return [*(account.budget for account in cover.accounts), *cover.own]


def _tightest(accounts: Sequence[Account]) -> str:
    """The budget of which the most is used."""
    shares = [account.share for account in accounts]
    most = max(shares)
    return f"{accounts[shares.index(most)].budget.name}={round(100 * most)}%"
