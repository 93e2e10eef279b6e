"""Keep the instructions of workflows in Claude's cache in the hours that their settings name (`keep_warm`)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from headgate.call import Call
from headgate.clock import Clock
from headgate.core.opening_hours import OpeningHours
from headgate.core.prefix import Border
from headgate.core.prompt_cache import Planner
from headgate.engine.cache_request import Original, request_for
from headgate.engine.filter import Proceed
from headgate.errors import Refused
from headgate.events import OwnRequest

__all__ = ["KeepWarm"]

LEAD_S = 60.0
"""A lifetime counts from the start of a request, and so long it may wait for its turn."""
LEAST_OPEN_S = 240.0
"""In the last minutes of its hours nothing is asked any more."""
AFTER_FAILURE_S = 600.0
MOST_UNASKED = 12
"""Requests for a beginning with which no call comes; then it is let go, until calls have it again."""
KEPT = 4
"""Beginnings of one workflow: by models, or by customers."""

_Key = tuple[str | None, int]
"""Whose key it is asked with, if not ours, and the digest."""


@dataclass(slots=True)
class _Kept:
    """The instructions of calls that begin alike."""

    planner: Planner
    digest: int
    hours: OpeningHours
    body: bytes
    original: Original
    task: asyncio.Task[None] | None = None
    unasked: int = 0
    """Requests since a call began like this."""


class KeepWarm:
    """Asks for no answer (`max_tokens: 0`, claude-api.md §9.7) when the hours of a workflow begin, and again before
    what that wrote would be dropped unused, with the tools and the system prompt that two of its calls had in common.
    PromptCache marks such a request for an hour.  It runs for its workflow, for no user, in lane `bulk`: it waits
    for room, is charged to budgets and has a record.
    """

    def __init__(self, hours: Mapping[str, OpeningHours], clock: Clock, new_call_id: Callable[[int], str]) -> None:
        """
        Args:
            hours: by workflow.
        """
        self.workflows = frozenset(hours)
        self._hours = hours
        self._clock = clock
        self._new_call_id = new_call_id
        self._ask: Proceed | None = None
        self._kept: dict[str, OrderedDict[_Key, _Kept]] = {name: OrderedDict() for name in hours}

    def connect(self, ask: Proceed) -> None:
        """The path that its requests take."""
        self._ask = ask

    def saw(self, planner: Planner, borders: Sequence[Border], call: Call) -> None:
        """A call of one of the workflows, before it is planned for."""
        border = next((each for each in reversed(borders) if each.part in ("tools", "system")), None)
        if border is None:
            return
        of_workflow = self._kept[call.record.workflow]
        key = call.own_key, border.digest
        kept = of_workflow.get(key)
        if kept is not None:
            kept.unasked = 0
            of_workflow.move_to_end(key)
            return
        body = request_for(call.body, border) if planner.node(border.digest) is not None else None
        if body is None:
            return
        hours = self._hours[call.record.workflow]
        kept = of_workflow[key] = _Kept(planner, border.digest, hours, body, Original.of(call))
        kept.task = asyncio.get_running_loop().create_task(self._keep(of_workflow, key, kept))
        if len(of_workflow) > KEPT:
            _, oldest = of_workflow.popitem(last=False)
            if oldest.task is not None:
                oldest.task.cancel()

    async def close(self) -> None:
        tasks = [kept.task for each in self._kept.values() for kept in each.values() if kept.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, of_workflow: OrderedDict[_Key, _Kept], key: _Key, kept: _Kept) -> None:
        """Until nobody begins like this any more."""
        while kept.unasked < MOST_UNASKED:
            wait_s = self._wait_s(kept)
            if wait_s == inf:
                break
            if wait_s > 0:
                await self._clock.sleep(wait_s)
                continue
            kept.unasked += 1
            await self._request(kept)
            if self._wait_s(kept) <= 0:  # nothing came of it
                await self._clock.sleep(AFTER_FAILURE_S)
        del of_workflow[key]

    def _wait_s(self, kept: _Kept) -> float:
        """Seconds until it has to be asked, or until more can be said; 0: now."""
        now_ms = self._clock.unix_ms()
        closed_s = kept.hours.closed_for_s(now_ms)
        if closed_s > 0:
            return closed_s
        node = kept.planner.node(kept.digest)
        held_s = node.until_s - self._clock.now_s() if node is not None else 0.0
        if node is not None and node.ttl == "1h":
            held_s -= LEAD_S  # renewed at a tenth; what lives five minutes is written anew, for an hour
        if held_s > 0:
            return held_s
        open_s = kept.hours.open_for_s(now_ms)
        return 0.0 if open_s > LEAST_OPEN_S else open_s

    async def _request(self, kept: _Kept) -> None:
        if self._ask is None:
            return
        call_id = self._new_call_id(self._clock.unix_ms())
        call = kept.original.again(
            kept.body, OwnRequest.KEEP_WARM, call_id=call_id, clock=self._clock, within_s=LEAD_S, for_its_user=False
        )
        try:
            await self._ask(call)
        except Refused:
            return  # no room, or no money
