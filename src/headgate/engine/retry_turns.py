"""The retry budget of one upstream, and the calls that wait for it."""

from __future__ import annotations

import asyncio
from collections import deque
from math import inf

from headgate.call import Call
from headgate.clock import Clock
from headgate.core.retry_budget import RetryBudget

__all__ = ["RetryTurns"]


class RetryTurns:
    """Which calls are being retried, and who is next.  First come, first served."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.budget = RetryBudget()
        self._retrying: set[Call] = set()
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def came_back(self, call: Call, now_s: float) -> None:
        """It is known how an attempt of `call` went."""
        if call not in self._retrying:
            self.budget.came_back(now_s)

    def ended(self, call: Call) -> None:
        """A call is over, its stream included."""
        self.budget.ended()
        self._give_back(call)
        if self._waiting:
            self._look()

    async def take(self, call: Call, patience_s: float) -> bool:
        """Whether `call` may be tried again: now, or within `patience_s`."""
        self._give_back(call)  # of its last retry
        at_once = not self._waiting and self.budget.take(self._clock.now_s())
        if not at_once and (patience_s <= 0 or not await self._wait(patience_s)):
            return False
        self._retrying.add(call)
        return True

    def _give_back(self, call: Call) -> None:
        if call in self._retrying:
            self._retrying.remove(call)
            self.budget.give_back()

    async def _wait(self, patience_s: float) -> bool:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.append(turn)
        self._look()
        timer = loop.call_later(patience_s, _answer, turn)
        try:
            return bool(await turn)
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.result():
                self.budget.give_back()
            raise
        finally:
            timer.cancel()
            self._look()

    def _look(self) -> None:
        """Let go whoever may."""
        now_s = self._clock.now_s()
        while self._waiting:
            if not self._waiting[0].done():  # else it has left
                if not self.budget.take(now_s):
                    break
                self._waiting[0].set_result(True)
            self._waiting.popleft()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wait_s = self.budget.wait_s(now_s) if self._waiting else inf
        if wait_s < inf:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._look)


def _answer(turn: asyncio.Future[bool]) -> None:
    if not turn.done():
        turn.set_result(False)
