"""Keep prompts in Claude's cache for which that is cheaper than to write them again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import msgspec

from headgate.call import Call, Kind
from headgate.clock import Clock
from headgate.core.body import REMOVED, with_fields
from headgate.core.cache_plan import Keep
from headgate.core.prefix import Border
from headgate.core.prompt_cache import Planner
from headgate.engine.filter import Proceed
from headgate.errors import Refused
from headgate.events import Reason
from headgate.net.http import Headers
from headgate.records import CallRecord

__all__ = ["KeepAlive", "request_for"]

LEAD_S = 20.0
"""A lifetime counts from the start of a request, and so long it may wait for its turn."""
MOST_BYTES = 64 * 1024 * 1024
"""Of the bodies that are held for it; the oldest are let go."""
LANE = "bulk"

_PASSED_ON = frozenset((b"anthropic-version", b"anthropic-beta", b"content-type"))
_WITHOUT = ("stream", "stop_sequences", "metadata")
"""Of a request: what makes no difference to the cache, and has no use without an answer."""

_decode = msgspec.json.Decoder().decode


@dataclass(slots=True)
class _Held:
    """A call whose prompt may be asked again."""

    planner: Planner
    keep: Keep
    body: bytes
    record: CallRecord
    target: str
    headers: Headers
    bearer: bool
    own_key: str | None
    base_url: str | None
    credential: str | None


class KeepAlive:
    """Asks for no answer (`max_tokens: 0`, claude-api.md §9.7) shortly before a prompt would be dropped, once after
    each use, where enough of those like it came again in the minutes after.  Such a request is a call of its workflow
    like any other, in lane `bulk`: it waits for room, is charged to the same budgets and has a record; and is given up
    if it cannot go in time.
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
        self._held[key] = _Held(
            planner, keep, call.body, call.record, call.target, call.headers, call.bearer, call.own_key, call.base_url,
            call.credential,
        )  # fmt: skip
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
            if held.planner.is_worth(held.keep, self._clock.now_s()):
                task = asyncio.get_running_loop().create_task(self._refresh(held))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        self._task = None

    async def _refresh(self, held: _Held) -> None:
        body = request_for(held.body, held.keep.border)
        if body is None or self._ask is None:
            return
        call = self._call(held, body)
        try:
            reply = await self._ask(call)
        except Refused:
            return  # no room, or no money: then it is dropped
        facts = call.attempts[-1].facts if call.attempts else None
        if reply.failure is None and facts is not None and facts.usage is not None:
            own = facts.usage.own
            written = own.cache_write_5m + own.cache_write_1h
            held.planner.refreshed(held.keep, call.arrived_s, read=own.cache_read, written=written, fresh=own.input)

    def _call(self, like: _Held, body: bytes) -> Call:
        clock = self._clock
        now_s, now_ms = clock.now_s(), clock.unix_ms()
        told = like.record
        call_id = self._new_call_id(now_ms)
        record = CallRecord(
            call_id=call_id,
            correlation_id=call_id,
            started_ms=now_ms,
            kind=Kind.MESSAGES,
            workflow=told.workflow,
            lane=LANE,
            caller_key=told.caller_key,
            team=told.team,
            tags=told.tags,
            reason=Reason.KEEP_ALIVE,
            bytes_in=len(body),
        )
        return Call(
            record=record,
            kind=Kind.MESSAGES,
            method="POST",
            target=like.target,
            headers=[(name, value) for name, value in like.headers if name.lower() in _PASSED_ON],
            body=body,
            arrived_s=now_s,
            bearer=like.bearer,
            own_key=like.own_key,
            base_url=like.base_url,
            credential=like.credential,
            deadline_s=now_s + LEAD_S,
        )


def request_for(body: bytes, border: Border) -> bytes | None:
    """The request that has the API read the prompt of `body` up to `border`, and answer nothing; None if there is none
    that the API would take."""
    document: dict[str, Any] = _decode(body)
    thinking, choice = document.get("thinking"), document.get("tool_choice")
    config = document.get("output_config")
    if (
        (isinstance(thinking, dict) and thinking.get("type") == "enabled")
        or (isinstance(choice, dict) and choice.get("type") in ("any", "tool"))
        or (isinstance(config, dict) and config.get("format"))
    ):
        return None  # each would have to go, and is part of what the prompt is kept under (§9.6)
    if border.part == "messages":
        messages = document["messages"][: border.at + 1]
        last = messages[-1]
        content = last["content"]
        if last.get("role") != "user" or not isinstance(content, list):
            return None
        rest = content[border.block + 1 :]
        if rest and any(isinstance(block, dict) and block.get("type") == "tool_result" for block in content):
            return None  # all results go together
        messages[-1] = last | {"content": content[: border.block + 1]}
    else:
        messages = [{"role": "user", "content": "."}]
    changes: dict[str, Any] = {name: REMOVED for name in _WITHOUT if name in document}
    return with_fields(body, changes | {"max_tokens": 0, "messages": messages})
