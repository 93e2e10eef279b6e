"""Keep prompts in Claude's cache for which that is cheaper than to write them again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush

from headgate.call import Call
from headgate.clock import Clock
from headgate.core.cache_plan import Keep, KeptPart
from headgate.core.prompt_cache import Planner
from headgate.engine.cache_request import Original, request_for
from headgate.engine.filter import Proceed
from headgate.errors import Refused
from headgate.events import OwnRequest

__all__ = ["KeepAlive"]

LEAD_S = 20.0
"""A lifetime counts from the start of a request, and so long it may wait for its turn."""
MOST_BYTES = 64 * 1024 * 1024
"""Of the bodies that are held for it; the oldest are let go."""


@dataclass(slots=True)
class _Held:
    """A call whose prompt may be asked again."""

    planner: Planner
    keep: Keep
    body: bytes
    original: Original


class KeepAlive:
    """Asks for no answer (`max_tokens: 0`, claude-api.md §9.7) shortly before a prompt would be dropped, once after
    each use, where enough of those like it came again in the minutes after.  Such a request runs in lane `bulk`:
    it waits for room, is charged to the budgets of who used the prompt last, has a record, and is given up if it cannot
    go in time.
    """

    def __init__(self, clock: Clock, new_call_id: Callable[[int], str]) -> None:
        self._clock = clock
        self._new_call_id = new_call_id
        self._ask: Proceed | None = None
        self._held: OrderedDict[int, _Held] = OrderedDict()
        self._bytes = 0
        self._due: list[tuple[float, int]] = []
        self._task: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    def connect(self, ask: Proceed) -> None:
        """The path that its requests take."""
        self._ask = ask

    def hold(self, planner: Planner, keep: Keep, call: Call) -> None:
        """The prompt of `call`, as it is sent, may be worth it."""
        key = id(keep.node)
        before = self._held.pop(key, None)
        if before is not None:
            self._bytes -= len(before.body)
        else:
            heappush(self._due, (keep.node.until_s - LEAD_S, key))
        self._held[key] = _Held(planner, keep, call.body, Original.of(call))
        self._bytes += len(call.body)
        while self._bytes > MOST_BYTES:
            self._bytes -= len(self._held.popitem(last=False)[1].body)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        tasks = [*self._under_way] + ([self._task] if self._task is not None else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        """Until there is nothing more to wait for."""
        while self._due:
            wait_s = self._due[0][0] - self._clock.now_s()
            if wait_s > 0:
                await self._clock.sleep(wait_s)
                continue
            key = heappop(self._due)[1]
            held = self._held.get(key)
            if held is None:
                continue
            due_s = held.keep.node.until_s - LEAD_S
            if due_s > self._clock.now_s() + 1.0:  # it was used since
                heappush(self._due, (due_s, key))
                continue
            del self._held[key]
            self._bytes -= len(held.body)
            part = held.planner.worth_renewing(held.keep, self._clock.now_s())
            if part is not None:
                task = asyncio.get_running_loop().create_task(self._renew(held, part))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        self._task = None

    async def _renew(self, held: _Held, part: KeptPart) -> None:
        body = request_for(held.body, part.border)
        if body is None or self._ask is None:
            return
        call_id = self._new_call_id(self._clock.unix_ms())
        call = held.original.again(
            body, OwnRequest.KEEP_ALIVE, call_id=call_id, clock=self._clock, within_s=LEAD_S, for_its_user=True
        )
        try:
            reply = await self._ask(call)
        except Refused:
            return  # no room, or no money: then it is dropped
        facts = call.attempts[-1].facts if call.attempts else None
        if reply.failure is None and facts is not None and facts.usage is not None:
            own = facts.usage.own
            written = own.cache_write_5m + own.cache_write_1h
            held.planner.renewed(
                part, held.keep.terms, call.arrived_s, read=own.cache_read, written=written, fresh=own.input
            )
