"""Ask small calls of one workflow together, in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from hashlib import blake2b
from math import inf
from operator import attrgetter
from random import Random
from typing import Any

import msgspec

from headgate.call import Call, Kind, Reply
from headgate.clock import Clock
from headgate.config.schema import LaneConfig, WorkflowConfig
from headgate.core.estimate import size_of
from headgate.core.join import Item, item_of, joined_request
from headgate.core.join_rhythm import Rhythm
from headgate.core.price import PriceBook
from headgate.engine.filter import Proceed
from headgate.engine.join_answer import joined_answer
from headgate.engine.join_group import Group, Member
from headgate.engine.own_call import Access, own_call
from headgate.engine.prompt_cache import PromptCache
from headgate.errors import BadRequest, Refused, Unavailable
from headgate.events import ErrorClass, Reason

__all__ = ["Join", "joins"]

PATIENCE_SHARE = 0.5
"""Of the time that a call has left, it waits no more for others."""
LEAST_LEFT_S = 1.0
"""A call with less time left is not asked again."""

_FORM_AT_FAULT = frozenset((ErrorClass.INVALID_REQUEST, ErrorClass.TOO_LARGE, ErrorClass.CLIENT_ERROR))
"""What the API says of a joined request need not hold for its items."""
_ITEM_ALONE_MAY_DO = _FORM_AT_FAULT | {ErrorClass.MALFORMED, ErrorClass.DEADLINE}
_TOO_LONG = frozenset((Reason.WAIT_TOO_LONG, Reason.LANE_CLOSED, Reason.BREAKER_OPEN))
"""Why a request is not sent that one with more time would wait for."""
_INSIGNIFICANT = (b"user-agent", b"accept", b"content-type", b"accept-language")
"""Headers in which calls that are joined may differ, and those of the SDK about itself."""

_encode = msgspec.json.Encoder().encode


def joins(workflow: WorkflowConfig) -> bool:
    """Whether calls of this workflow may be asked together."""
    return workflow.join_max > 1 and not workflow.traceable


class Join:
    """Has calls wait for a moment for others with the same instructions, asks all of them in one request, and gives
    each its own answer and its share of what was used.

    Below Fallback, so that each call falls back by itself; above Retry, which repeats a joined request as one: what
    the service then still fails at it would fail at for each, so all get that failure.  An answer that did not come
    back right, and a request that was refused for its form, are asked alone.

    A joined request has a task of its own: it belongs to nobody, and goes on until nobody is left who waits for it.
    Calls of different caller keys or API keys are never joined, of different users only if their workflow says so.
    """

    def __init__(
        self,
        workflows: Mapping[str, WorkflowConfig],
        lanes: Mapping[str, LaneConfig],
        prices: PriceBook,
        clock: Clock,
        rng: Random,
        prompt_cache: PromptCache,
    ) -> None:
        """`prompt_cache` marks what is sent."""
        self.workflows = {name: workflow for name, workflow in workflows.items() if joins(workflow)}
        self._lanes = lanes
        self._prices = prices
        self._clock = clock
        self._rng = rng
        self._prompt_cache = prompt_cache
        self._rhythms = {name: Rhythm(workflow.join_window_s) for name, workflow in self.workflows.items()}
        self._open: dict[bytes, Group] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        workflow = self.workflows.get(call.record.workflow)
        if workflow is None or call.kind is not Kind.MESSAGES:
            return proceed(call)
        return self._answer(call, workflow, proceed)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = [*self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, call: Call, workflow: WorkflowConfig, proceed: Proceed) -> Reply:
        assert call.document is not None
        item = item_of(call.document) if _may_be_joined(call) else None
        member = self._wait_with(call, item, workflow, proceed) if item is not None else None
        if member is not None:
            try:
                reply = await member.turn
            except asyncio.CancelledError:
                member.group.leave(member)
                raise
            if reply is not None:
                return reply
            if call.record.joined:
                call.attempt.record.decision = call.record.reason = Reason.ASKED_ALONE
        begun_s = self._clock.now_s()
        reply = await self._prompt_cache.send(call, proceed)
        if item is not None and reply.stream is None and reply.failure is None:
            now_s = self._clock.now_s()
            self._rhythms[call.record.workflow].answered(1, 0, now_s - begun_s, now_s)
        return reply

    # -- waiting for others -------------------------------------------------------------------------------------------

    def _wait_with(self, call: Call, item: Item, workflow: WorkflowConfig, proceed: Proceed) -> Member | None:
        """The place of `call` in a group that will be asked together; None if it is to go alone, and now."""
        kind = _kind_of(call, item, by_user=not workflow.join_users)
        now_s = self._clock.now_s()
        rhythm = self._rhythms[call.record.workflow]
        rhythm.came(kind, now_s)
        if rhythm.rests(now_s):
            return None
        left_s = min(call.deadline_s - now_s, workflow.join_within_s or inf)
        patience_s = min(workflow.join_window_s, self._lanes[call.record.lane].max_wait_s, left_s * PATIENCE_SHARE)
        group = self._open.get(kind)
        if group is not None and not group.has_room(item, left_s - rhythm.needs_s(len(group.members) + 1)):
            group.close()
            group = None
        if group is None:
            if not rhythm.wait_s(min(patience_s, left_s - rhythm.needs_s(2))):
                return None
            group = self._open[kind] = Group(lambda group: self._closed(kind, group, rhythm, proceed))
        member = group.add(call, item, now_s, patience_s, left_s)
        if len(group.members) >= workflow.join_max:
            group.close()
        else:
            group.close_in(rhythm.wait_s(group.latest_s(rhythm.needs_s(len(group.members) + 1)) - now_s))
        return member

    def _closed(self, kind: bytes, group: Group, rhythm: Rhythm, proceed: Proceed) -> None:
        """Nobody else joins `group`."""
        del self._open[kind]
        now_s = self._clock.now_s()
        for member in group.members:
            member.call.backed_off_s += now_s - member.came_s
        if len(group.members) > 1:
            task = asyncio.get_running_loop().create_task(self._ask(group, rhythm, proceed))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            group.asked_by(task)
        else:
            group.tell([None] * len(group.members))

    # -- asking -------------------------------------------------------------------------------------------------------

    async def _ask(self, group: Group, rhythm: Rhythm, proceed: Proceed) -> None:
        try:
            outcomes = await self._outcomes(group, rhythm, proceed)
        except asyncio.CancelledError:
            group.abandon(None)
            raise
        except BaseException as problem:  # a defect of ours, of which each of them has to know
            group.abandon(problem)
        else:
            group.tell(outcomes)

    async def _outcomes(self, group: Group, rhythm: Rhythm, proceed: Proceed) -> list[Reply | Refused | None]:
        """What each of them gets: a reply, a refusal, or None where it is to be asked alone."""
        members, clock = group.members, self._clock
        leader = members[0].call
        assert leader.document is not None
        items = [member.item for member in members]
        request = joined_request(leader.document, leader.body, items, self._rng)
        carrier = _carrier(members, request.document, request.body)
        begun_s = clock.now_s()
        try:
            reply = await self._prompt_cache.send(carrier, proceed)
        except BaseException as problem:
            group.settle(carrier, self._prices, None)
            if not isinstance(problem, Refused):
                raise
            if isinstance(problem, BadRequest):
                rhythm.refused(clock.now_s())
                return [None] * len(members)
            by_deadline = carrier.deadline_s - begun_s < self._lanes[carrier.record.lane].max_wait_s
            short = by_deadline and problem.reason in _TOO_LONG
            return [
                None if short and member.call.deadline_s > carrier.deadline_s else _same(problem) for member in members
            ]
        now_s = clock.now_s()
        failure = reply.failure
        if failure is None:
            answer = joined_answer(reply, request, items)
            group.settle(carrier, self._prices, answer)
            if answer is None:
                rhythm.answered(len(members), len(members), now_s - begun_s, now_s)
                return [None] * len(members)
            rhythm.answered(len(members), answer.texts.count(None), now_s - begun_s, now_s)
            return [answer.reply_to(index, member.call, reply, now_s) for index, member in enumerate(members)]
        group.settle(carrier, self._prices, None)
        if failure.error in _FORM_AT_FAULT:
            rhythm.refused(now_s)
        alone = failure.error in _ITEM_ALONE_MAY_DO
        return [
            None
            if alone and member.call.deadline_s - now_s > LEAST_LEFT_S
            else Reply(reply.status, reply.headers, reply.body, failure=failure)
            for member in members
        ]


def _may_be_joined(call: Call) -> bool:
    """Not one that its caller has tried before: it has had trouble, which others need not share.  Nor one that a strict
    budget covers: what its share will be is known only afterwards; nor one that falls back to another model than its
    hold is for, whose budgets are asked and charged by the request."""
    if call.attempts_before or call.record.caller_attempts or not call.replayable:
        return False
    held = call.held
    return held is None or (not held.size.most_input and held.model == call.record.model)


def _carrier(members: list[Member], document: dict[str, Any], body: bytes) -> Call:
    """What is sent for all: the call of the first, with another request.  Its record only serves those below; what is
    written down of the request stands in the records of the members."""
    leader = members[0].call
    hurried = min([member.call for member in members], key=attrgetter("deadline_s"))
    record = msgspec.structs.replace(
        leader.record, stream=False, max_tokens=document["max_tokens"], queue_ms=0.0, reason=None
    )
    carrier = own_call(
        record, Access.of(leader), leader.target, body, arrived_s=leader.arrived_s, deadline_s=hurried.deadline_s,
        headers=leader.headers,
    )  # fmt: skip
    carrier.document = document
    carrier.size = size_of(document, _encode(document))
    carrier.fast, carrier.geo = leader.fast, leader.geo
    carrier.requested_deadline_s = hurried.requested_deadline_s
    carrier.attempts = [*leader.attempts]
    carrier.answers = len(members)
    return carrier


def _kind_of(call: Call, item: Item, *, by_user: bool) -> bytes:
    """A digest of all that calls must have in common to be joined: whose they are, and what they ask."""
    record = call.record
    headers = sorted(
        [name, value]
        for name, value in call.headers
        if name not in _INSIGNIFICANT and not name.startswith(b"x-stainless-")
    )
    scope = (record.workflow, record.lane, record.caller_key, record.team, call.own_key,
             record.user if by_user else None, call.base_url, call.target, call.credential, call.bearer)  # fmt: skip
    return blake2b(repr((scope, headers)).encode() + item.common, digest_size=16).digest()


def _same(refusal: Refused) -> Refused:
    """Another one like it: an exception belongs to one task."""
    if isinstance(refusal, Unavailable):
        return Unavailable(
            str(refusal), reason=refusal.reason, status=refusal.status, retry_after_s=refusal.retry_after_s
        )
    return Refused(
        str(refusal), status=refusal.status, type=refusal.type, reason=refusal.reason,
        retry_after_s=refusal.retry_after_s,
    )  # fmt: skip
