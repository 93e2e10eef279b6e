"""Have the API count a large prompt before it is admitted.

Counting is free and has limits of its own (claude-api.md §8.2, §11).  It is worth its round trip where a wrong estimate
would hurt: the prompt is large, and of calls like it little is known.  What it says also calibrates the estimator, so
each kind of call soon needs no more of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from headgate.call import Attempt, Call, Kind, Reply
from headgate.clock import Clock
from headgate.core.catalog import Catalog
from headgate.core.estimate import EstimateObserver, Estimator, Habit
from headgate.engine.filter import Proceed
from headgate.engine.own_call import Access, own_call
from headgate.errors import Refused
from headgate.records import AttemptRecord, CallRecord

__all__ = ["Ask", "Oracle", "ask_through"]

LONGEST_S = 2.0
"""A call waits no longer for its count; then it goes by the estimate."""
QUIET_S = 60.0
"""After a count that failed: something that cannot count, or has no room for it, is not asked by every large call."""
PARTS = (
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control", "speed",
    "context_management", "mcp_servers",
)  # fmt: skip
"""The fields of a request that a count takes (§11); of others it knows nothing."""

_encode = msgspec.json.Encoder().encode

Ask = Callable[[Call], Awaitable[int | None]]
"""The input tokens of a call as the API counts them; None if it does not say."""


class Oracle:
    """Counts are asked for one at a time by workflow and model.  A call is never refused or held up for long because
    of one: when there is no answer in time, the estimate stands.

    Above Retry and Admit, which reserves what was counted; below Fallback, since another model counts otherwise.
    """

    def __init__(
        self,
        ask: Ask,
        estimator: Estimator,
        catalog: Catalog,
        clock: Clock,
        *,
        from_tokens: int,
        observer: EstimateObserver | None = None,
    ) -> None:
        """`from_tokens`: prompts estimated smaller are not counted."""
        self._ask = ask
        self._estimator = estimator
        self._catalog = catalog
        self._clock = clock
        self._from_tokens = from_tokens
        self._observer = observer
        self._asking: set[tuple[str, str]] = set()
        self._quiet_until_s = 0.0

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        # A token has more than one byte: this comparison is all that nearly every call pays.
        if call.size < self._from_tokens or call.kind is not Kind.MESSAGES:
            return proceed(call)
        return self._count_first(call, proceed)

    async def _count_first(self, call: Call, proceed: Proceed) -> Reply:
        model = call.record.model
        assert model is not None
        habit = self._estimator.habit(call.record.workflow, model, self._catalog.model(model).tokenizer)
        if self._wants(call, model, habit):
            await self._count(call, model, habit)
        return await proceed(call)

    async def tokens_of(self, call: Call) -> int | None:
        """The input tokens of a prompt, for who must know them; None if the API does not say in time."""
        model = call.record.model
        if call.counted_tokens is None and model is not None and self._may_ask(call):
            await self._count(call, model, self._estimator.habit(
                call.record.workflow, model, self._catalog.model(model).tokenizer
            ))  # fmt: skip
        return call.counted_tokens

    def _may_ask(self, call: Call) -> bool:
        """Not of what the API itself holds the most of."""
        return self._clock.now_s() >= self._quiet_until_s and "thread" not in (call.document or {})

    def _wants(self, call: Call, model: str, habit: Habit) -> bool:
        """Whether to ask before permits are asked for."""
        return (
            call.size * habit.tokens_per_byte >= self._from_tokens
            and not habit.calibrated
            and call.counted_tokens is None
            and (call.record.workflow, model) not in self._asking
            and self._may_ask(call)
        )

    async def _count(self, call: Call, model: str, habit: Habit) -> None:
        """Ask for the count of `call`: for the call itself, and for the habit of its kind."""
        key = (call.record.workflow, model)
        began_s = self._clock.now_s()
        self._asking.add(key)
        tokens: int | None = None
        outcome = "failed"
        try:
            async with asyncio.timeout(max(0.0, min(LONGEST_S, call.deadline_s - began_s))):
                tokens = await self._ask(call)
        except TimeoutError:
            outcome = "timeout"
        except Refused:
            pass  # no room for it in time: the estimate has to do
        finally:
            self._asking.discard(key)
            call.backed_off_s += self._clock.now_s() - began_s
        if tokens is None:
            self._quiet_until_s = self._clock.now_s() + QUIET_S
        else:
            outcome = "counted"
            call.counted = (model, tokens)
            habit.calibrate(call.size, tokens)
        if self._observer is not None:
            self._observer.prompt_counted(outcome)


def ask_through(proceed: Proceed, clock: Clock) -> Ask:
    """Ask by a call of its own down the path from `proceed` on: from where it is admitted, so that it draws on the
    limit of counts, and below Observe and Retry, so that it is neither a call nor an attempt of the caller's."""

    async def ask(call: Call) -> int | None:
        reply = await proceed(_count_of(call, clock))
        if reply.failure is not None or reply.stream is not None:
            if reply.stream is not None:
                reply.stream.close()
            return None
        return _read(reply.body)

    return ask


class _Count(msgspec.Struct):
    input_tokens: int


def _read(body: bytes) -> int | None:
    try:
        tokens = msgspec.json.decode(body, type=_Count).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return tokens if tokens > 0 else None


def _count_of(call: Call, clock: Clock) -> Call:
    now_s, now_ms = clock.now_s(), clock.unix_ms()
    asked: dict[str, Any] = call.document or {}
    document = {part: asked[part] for part in PARTS if part in asked}
    body = _encode(document)
    record = CallRecord(
        call_id=call.record.call_id,
        started_ms=now_ms,
        kind=Kind.COUNT_TOKENS,
        workflow=call.record.workflow,
        lane=call.record.lane,
        model=call.record.model,
    )
    path, _, query = call.target.partition("?")
    target = path.rstrip("/") + "/count_tokens" + (f"?{query}" if query else "")
    deadline_s = min(call.deadline_s, now_s + LONGEST_S)
    counting = own_call(record, Access.of(call), target, body, arrived_s=now_s, deadline_s=deadline_s)
    counting.document = document
    counting.attempts.append(Attempt(AttemptRecord(call_id=record.call_id, attempt=1, started_ms=now_ms), now_s))
    return counting
