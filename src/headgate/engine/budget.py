"""Hold money for a call in every budget that covers it, or do not send it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from headgate.call import Call, Kind, Reply, Standing
from headgate.clock import Clock, milliseconds, utc
from headgate.config.schema import LaneConfig
from headgate.core.affordable import ENOUGH_TOKENS, affordable, some_tokens
from headgate.core.body import with_fields
from headgate.core.budget import Budget as BudgetInForce
from headgate.core.call_hold import CallHold, Size
from headgate.core.catalog import Catalog
from headgate.core.estimate import Estimator
from headgate.core.grants import NEVER_MS, Account, Hold, take
from headgate.core.price import PriceBook
from headgate.engine.batch_results import BatchResults
from headgate.engine.budgets import Budgets, Cover
from headgate.engine.call_sizes import CallSizes
from headgate.engine.filter import Proceed
from headgate.errors import BudgetSpent
from headgate.events import Reason
from headgate.records import BatchItemRecord

__all__ = ["Budget"]

ITEMS_KEPT = 100_000
"""Results of batches that were charged, so that they are not when they are fetched again."""
LEAST_WAIT_S = 0.001
"""Less is an error of arithmetic."""
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
        self._clock = clock
        self._lanes = lanes
        self.sizes = CallSizes(prices, catalog, estimator)
        self._items: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def __call__(self, call: Call, proceed: Proceed) -> Reply:
        if call.kind is not Kind.MESSAGES:
            return await self._other(call, proceed)
        budgets = self._budgets
        if (looking := budgets.look_for_changes()) is not None:
            await looking
        cover = budgets.cover(call.record)
        if cover.accounts or cover.own:
            size = self.sizes.of(call, cover)
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

    # -- how much, or not at all --------------------------------------------------------------------------------

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
            size = self.sizes.of(call, cover)
        for budget in cover.own:
            size = self._within(call, size, budget, before_pico)
        while True:
            try:
                lowered = await self._wait_for(call, hold, size.wanted(cover.accounts, before), size)
            except BudgetSpent:
                known = self.sizes.of(call, cover)  # others have been answered meanwhile
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
                need = self.sizes.needed(call) if size is not None else None
                if need is not None and (lowered := affordable(hold, wanted, size, need)) is not None:
                    return lowered
                left_s = patience_s - (clock.now_s() - began_s)
                if left_s < LEAST_WAIT_S or short.really_spent + wanted[short] - hold.parts.get(short, 0) > short.limit:
                    if need is None and (
                        lowered := affordable(hold, wanted, size, some_tokens(call.document), ENOUGH_TOKENS)
                    ):
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
        if budget.strict and tokens >= (self.sizes.needed(call) or some_tokens(call.document)):
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
        self.sizes.learn(call, held)


def _tightest(accounts: Sequence[Account]) -> str:
    """The budget of which the most is used."""
    shares = [account.share for account in accounts]
    most = max(shares)
    return f"{accounts[shares.index(most)].budget.name}={round(100 * most)}%"
