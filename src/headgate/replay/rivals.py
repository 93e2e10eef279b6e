"""What people do without Headgate, each as its own small class over the plain HTTP client.

None of them is a straw man: `Sdk` keeps the official SDK's rules to the letter, `Fifo` is told what nobody knows, the
depth of the API's buckets and every cost, and `FixedMinute` is told every call's output beforehand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from heapq import heappop, heappush
from random import Random

from headgate.clock import Clock
from headgate.replay.bounds import TTL_S, Levels
from headgate.replay.line import Got, Line
from headgate.replay.workload import Ask

__all__ = ["Fifo", "FixedMinute", "FixedRetry", "Sdk", "Semaphore"]

MINUTE_S = 60.0
RETRIES = 2
FIRST_BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 8.0
LONGEST_TOLD_S = 4_294_967.0
FIXED_WAIT_S = 2.0
OK = 200
ROUNDING_S = 1e-9


class Sdk:
    """The official Python SDK's retries (claude-api.md §15): twice, after connection errors, 408, 409, 429 and 5xx."""

    def __init__(self, line: Line, clock: Clock, rng: Random) -> None:
        self._line = line
        self._clock = clock
        self._rng = rng

    async def ask(self, ask: Ask) -> bool:
        for retries in range(RETRIES + 1):
            got = await self._line.post(ask, retries)
            if got.status == OK:
                return True
            if retries == RETRIES or not _worth_trying(got):
                return False
            await self._clock.sleep(self._wait_s(got, retries))
        return False

    def _wait_s(self, got: Got, retries: int) -> float:
        told_s = _told_s(got)
        if told_s is not None and told_s > 0:
            return min(told_s, LONGEST_TOLD_S)
        backoff_s = min(FIRST_BACKOFF_S * 2.0**retries, LONGEST_BACKOFF_S)
        return backoff_s * (1 - 0.25 * self._rng.random())

    async def close(self) -> None:
        self._line.close()


class Semaphore:
    """So many calls at a time, each with the SDK's retries."""

    def __init__(self, line: Line, clock: Clock, rng: Random, at_a_time: int) -> None:
        self._sdk = Sdk(line, clock, rng)
        self._room = asyncio.Semaphore(at_a_time)

    async def ask(self, ask: Ask) -> bool:
        async with self._room:
            return await self._sdk.ask(ask)

    async def close(self) -> None:
        await self._sdk.close()


class FixedRetry:
    """So many workers, each of which sends its call again every two seconds until it is answered."""

    def __init__(self, line: Line, clock: Clock, workers: int) -> None:
        self._line = line
        self._clock = clock
        self._room = asyncio.Semaphore(workers)

    async def ask(self, ask: Ask) -> bool:
        async with self._room:
            retries = 0
            while (await self._line.post(ask, retries)).status != OK:
                retries += 1
                await self._clock.sleep(FIXED_WAIT_S)
        return True

    async def close(self) -> None:
        self._line.close()


class FixedMinute:
    """First come first served, a limit's worth in every minute of the clock, and the SDK's retries.

    Input counts in full: it does not know what the cache will give.
    """

    def __init__(
        self, line: Line, clock: Clock, rng: Random, per_minute: Mapping[str, tuple[float, float, float]]
    ) -> None:
        self._sdk = Sdk(line, clock, rng)
        self._clock = clock
        self._windows = {pool: _Window(limits) for pool, limits in per_minute.items()}

    async def ask(self, ask: Ask) -> bool:
        window = self._windows[str(ask.model.rate_limit_pool)]
        async with window.turn:  # asyncio's locks are taken in the order in which they were asked for
            while not window.take((1.0, ask.input_tokens, ask.output_tokens), self._clock.now_s()):
                await self._clock.sleep(MINUTE_S - self._clock.now_s() % MINUTE_S)
        return await self._sdk.ask(ask)

    async def close(self) -> None:
        await self._sdk.close()


class _Window:
    """What has gone in this minute."""

    def __init__(self, limits: tuple[float, float, float]) -> None:
        self.turn = asyncio.Lock()
        self._limits = limits
        self._minute = -1
        self._gone = [0.0, 0.0, 0.0]

    def take(self, needs: tuple[float, float, float], now_s: float) -> bool:
        """Take `needs` if there is room, or if nothing has gone yet."""
        minute = int(now_s // MINUTE_S)
        if minute != self._minute:
            self._minute = minute
            self._gone = [0.0, 0.0, 0.0]
        after = [gone + need for gone, need in zip(self._gone, needs, strict=True)]
        if self._gone[0] and any(gone > limit for gone, limit in zip(after, self._limits, strict=True)):
            return False
        self._gone = after
        return True


class Fifo:
    """Strictly first come first served on limits, depths and costs that are all known: the reference of `bounds`, on
    the wire."""

    def __init__(
        self,
        line: Line,
        clock: Clock,
        per_minute: Mapping[str, tuple[float, float, float]],
        depth_s: float,
        *,
        marked: bool,
    ) -> None:
        self._line = line
        self._queues = {
            pool: _Queue(line, clock, Levels(limits, depth_s), _Memory() if marked else None)
            for pool, limits in per_minute.items()
        }

    async def ask(self, ask: Ask) -> bool:
        return await self._queues[str(ask.model.rate_limit_pool)].ask(ask)

    async def close(self) -> None:
        self._line.close()


class _Queue:
    """Of one pool.  A call that was sent back is the first again."""

    def __init__(self, line: Line, clock: Clock, levels: Levels, memory: _Memory | None) -> None:
        self._line = line
        self._clock = clock
        self._levels = levels
        self._memory = memory
        self._waiting: list[tuple[int, Ask, asyncio.Future[int]]] = []
        self._pump: asyncio.Task[None] | None = None
        self._not_before_s = 0.0

    async def ask(self, ask: Ask) -> bool:
        while True:
            turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (ask.number, ask, turn))
            if self._pump is None or self._pump.done():
                self._pump = asyncio.create_task(self._admit())
            fresh = await turn
            sent_s = self._clock.now_s()
            got = await self._line.post(ask)
            if got.status == OK:
                if self._memory is not None:
                    self._memory.answered(ask, sent_s)
                return True
            now_s = self._clock.now_s()
            self._levels.take((-1, -fresh, -ask.output_tokens), now_s)
            self._not_before_s = max(self._not_before_s, now_s + (_told_s(got) or 1.0))

    async def _admit(self) -> None:
        while self._waiting:
            _, ask, turn = self._waiting[0]
            now_s = self._clock.now_s()
            fresh = ask.input_tokens - (self._memory.served(ask, now_s) if self._memory is not None else 0)
            needs = (1, fresh, ask.output_tokens)
            wait_s = max(self._levels.wait_s(needs, now_s), self._not_before_s - now_s)
            if wait_s > ROUNDING_S:
                await self._clock.sleep(wait_s)
                continue  # part of the prompt may have left the cache meanwhile
            heappop(self._waiting)
            self._levels.take(needs, now_s)
            turn.set_result(fresh)
            await asyncio.sleep(0)


class _Memory:
    """What Claude's cache holds: beginnings up to a marker, for five minutes from the request that last had them."""

    def __init__(self) -> None:
        self._until_s: dict[int, float] = {}

    def served(self, ask: Ask, now_s: float) -> int:
        tokens = best = 0
        for part in ask.prompt.parts:
            tokens += part.tokens
            if self._until_s.get(part.id, 0.0) > now_s:
                best = tokens
        return best

    def answered(self, ask: Ask, sent_s: float) -> None:
        parts = ask.prompt.parts
        self._until_s.update((parts[number].id, sent_s + TTL_S) for number in ask.prompt.markers)


def _worth_trying(got: Got) -> bool:
    told = got.headers.get(b"x-should-retry")
    if told in (b"true", b"false"):
        return told == b"true"
    return got.status in (0, 408, 409, 429) or got.status >= 500


def _told_s(got: Got) -> float | None:
    """`retry-after-ms`, else `retry-after`; the simulator sends no dates."""
    for name, a_second in ((b"retry-after-ms", 1_000), (b"retry-after", 1)):
        value = got.headers.get(name)
        if value is not None:
            try:
                return float(value) / a_second
            except ValueError:
                continue
    return None
