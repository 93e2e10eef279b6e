"""Answer calls that have time through Message Batches, at half the price."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from headgate.call import Call, Kind, Reply
from headgate.clock import Clock
from headgate.config.schema import BatchesConfig
from headgate.core.defer import Patience, batch_body, batch_id_of, batch_params, read_result, told_patience_s
from headgate.core.estimate import Habit
from headgate.engine.batch_desk import Account, BatchDesk
from headgate.engine.batch_group import BatchGroup, BatchMember
from headgate.engine.filter import Proceed
from headgate.engine.meter import Meter
from headgate.engine.own_call import Access
from headgate.engine.prompt_cache import PromptCache
from headgate.errors import Refused
from headgate.events import ErrorClass
from headgate.failure import Failure

__all__ = ["Defer"]

CANCELLING_S = 120.0
"""How long a batch that was cancelled may take to end; then its calls are asked alone, whatever it still does."""
LOOK_EVERY_S = 5.0
READ_WITHIN_S = 60.0
READINGS = 3
"""Results that break off are read again: they stay for 29 days."""
STOPPING_S = 5.0
RESULTS_SHARE = 0.5
"""Of the reserve, for a batch that was cancelled to end and for reading what it did; the rest is for asking alone."""

_Key = tuple[str, Account, str]


class Defer:
    """Collects calls of some workflows and asks them together, in a batch; each gets its answer by its own id.

    Above Retry and Fallback, so that a call that its batch did not answer is asked as any other; below the budget,
    whose hold covers both.  A call is never late because of it: what has no time goes on at once, and what a batch has
    not answered when a call's reserve begins is cancelled and asked alone.  All of it is in memory: calls that wait
    when Headgate stops are not answered, and their batches are cancelled.
    """

    def __init__(
        self,
        workflows: Collection[str],
        config: BatchesConfig,
        desk: BatchDesk,
        meter: Meter,
        habit_of: Callable[[Call], Habit],
        clock: Clock,
        prompt_cache: PromptCache,
        *,
        falls_back: Collection[str] = (),
    ) -> None:
        """`habit_of` tells what calls like one use; `prompt_cache` marks what is sent.  Workflows in `falls_back` do
        something about an answer in which the model declines, which Fallback knows below: such a call is asked
        alone."""
        self.workflows = frozenset(workflows)
        self._desk = desk
        self._meter = meter
        self._habit_of = habit_of
        self._clock = clock
        self._prompt_cache = prompt_cache
        self._falls_back = frozenset(falls_back)
        self._patience = Patience(least_s=config.min_patience_s, collect_s=config.collect_s, reserve_s=config.reserve_s)
        self._most = config.max_requests
        self._most_bytes = config.max_mb * 1024 * 1024
        self._collecting: dict[_Key, tuple[BatchGroup, asyncio.TimerHandle]] = {}
        self._under_way: dict[asyncio.Task[None], BatchGroup] = {}

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        if call.record.workflow not in self.workflows or call.kind is not Kind.MESSAGES:
            return proceed(call)
        return self._answer(call, proceed)

    @property
    def batches(self) -> tuple[int, int]:
        """How many are collecting calls, and how many are under way."""
        return len(self._collecting), len(self._under_way)

    async def close(self) -> None:
        """Cancel what is under way.  What the batches have used by then is written down as unconfirmed."""
        for group, timer in self._collecting.values():
            timer.cancel()
            group.abandon()
        self._collecting.clear()
        tasks = [*self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._desk.close()

    async def _answer(self, call: Call, proceed: Proceed) -> Reply:
        assert call.document is not None
        now_s = self._clock.now_s()
        until_s = min(call.deadline_s, call.arrived_s + told_patience_s(call.headers))
        in_time = self._patience.suffices(until_s - now_s)
        if not in_time or batch_params(call.document, call.body) is None:
            return await self._prompt_cache.send(call, proceed)
        member = BatchMember(call, now_s, self._patience.give_up_s(until_s))
        group = self._add(member, now_s, until_s)
        try:
            reply = await member.turn
        except asyncio.CancelledError:
            group.leave(member)
            raise
        return reply if reply is not None else await proceed(call)

    # -- collecting ---------------------------------------------------------------------------------------------------

    def _add(self, member: BatchMember, now_s: float, until_s: float) -> BatchGroup:
        call = member.call
        key = _key_of(call)
        collecting = self._collecting.get(key)
        if collecting is not None and collecting[0].bytes + len(call.body) > self._most_bytes:
            self._send(key)
            collecting = None
        group, timer = collecting if collecting is not None else (BatchGroup(), None)
        group.add(member, self._patience.send_by_s(now_s, until_s))
        if timer is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._collecting[key] = group, loop.call_later(max(0.0, group.send_by_s - now_s), self._send, key)
        if len(group.members) >= self._most:
            self._send(key)
        return group

    def _send(self, key: _Key) -> None:
        group, timer = self._collecting.pop(key)
        timer.cancel()
        if not group.members:
            return  # all have left
        task = asyncio.get_running_loop().create_task(self._run(key[0], group, key[1]))
        self._under_way[task] = group
        task.add_done_callback(self._under_way.pop)

    # -- one batch ----------------------------------------------------------------------------------------------------

    async def _run(self, workflow: str, group: BatchGroup, account: Account) -> None:
        failure = _UNKNOWN
        try:
            for member in group.members.values():
                self._prompt_cache.place(member.call)
            group.send(self._meter, self._habit_of, self._clock)
            if group.members:  # else nothing can be written down
                failure = await self._through(workflow, group, account)
        except BaseException as problem:  # cancelled, or a defect
            group.abandon(problem)
            if isinstance(problem, asyncio.CancelledError):
                raise
        finally:
            group.give_up(failure, self._meter, self._clock)

    async def _through(self, workflow: str, group: BatchGroup, account: Account) -> Failure:
        """Have the batch made and take its answers; why those that are left have none."""
        try:
            reply, credential = await self._desk.create(account, _body_of(group), self._left_s(group))
        except Refused:
            return _NOT_SENT
        made = batch_id_of(reply.body) if reply.failure is None else None
        if made is None:
            return reply.failure or Failure(ErrorClass.MALFORMED)
        if account.access.own_key is None:
            account = account._replace(access=account.access._replace(credential=credential))
        group.made(made, credential)
        try:
            async with asyncio.timeout(self._left_s(group) + RESULTS_SHARE * self._patience.reserve_s):
                await self._take_answers(workflow, group, account, made)
        except TimeoutError:
            pass  # its calls have no more time for it
        return _UNKNOWN

    async def _take_answers(self, workflow: str, group: BatchGroup, account: Account, made: str) -> None:
        """Take what the batch answers, if it ends in time."""
        try:
            ended = await self._until_ended(group, account, made)
        except asyncio.CancelledError:
            await self._stop(account, made)
            raise
        if not ended:
            return
        for _ in range(READINGS):
            async for line in self._desk.results(account, made, READ_WITHIN_S):
                told = read_result(line)
                if told is not None:
                    group.take(*told, self._meter, self._clock, declined=workflow not in self._falls_back)
            if group.is_answered:
                break
            await self._clock.sleep(LOOK_EVERY_S)

    async def _until_ended(self, group: BatchGroup, account: Account, batch_id: str) -> bool:
        """Whether the batch has ended: by itself, or cancelled since a call cannot wait longer or nobody waits."""
        ending = asyncio.ensure_future(self._desk.ended(account, batch_id, group.give_up_s))
        deserted = asyncio.ensure_future(group.deserted.wait())
        try:
            await asyncio.wait({ending, deserted}, timeout=self._left_s(group), return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                return True
        finally:
            ending.cancel()
            deserted.cancel()
            await asyncio.gather(ending, deserted, return_exceptions=True)
        await self._desk.cancel(account, batch_id)
        until_s = self._clock.now_s() + CANCELLING_S
        while not await self._desk.has_ended(account, batch_id):
            if self._clock.now_s() >= until_s:
                return False
            await self._clock.sleep(LOOK_EVERY_S)
        return True

    async def _stop(self, account: Account, batch_id: str) -> None:
        """Headgate stops, and nobody will fetch what the batch still does."""
        try:
            async with asyncio.timeout(STOPPING_S):
                await self._desk.cancel(account, batch_id)
        except TimeoutError:
            pass

    def _left_s(self, group: BatchGroup) -> float:
        return max(0.0, group.give_up_s - self._clock.now_s())


_UNKNOWN = Failure(ErrorClass.CANCELLED)
"""It was made, or may have been, and nothing tells what it used."""
_NOT_SENT = Failure(ErrorClass.CANCELLED, sent=False)


def _key_of(call: Call) -> _Key:
    """What calls must have in common to share a batch."""
    return call.record.workflow, Account(Access.of(call), call.record.lane), call.target.partition("?")[2]


def _body_of(group: BatchGroup) -> bytes:
    items = []
    for name, member in group.members.items():
        assert member.call.document is not None
        params = batch_params(member.call.document, member.call.body)
        assert params is not None
        items.append((name, params))
    return batch_body(items)
