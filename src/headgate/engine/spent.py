"""Tell callers what their user and their session have spent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

from headgate.call import Call, Kind, Reply, Standing
from headgate.clock import Clock, utc_day
from headgate.core.spent import Spent
from headgate.engine.filter import Proceed
from headgate.errors import LedgerError
from headgate.stores.base import Ledger

__all__ = ["TellSpent"]

log = logging.getLogger("headgate.ledger")

DAY_MS = 86_400_000
DAYS_BEFORE = 1
"""A session that is older than yesterday begins anew at a restart."""


class TellSpent:
    """Adds up what calls cost, by user and by session.

    What was spent before this process began it reads in the ledger when the first call comes that is to be told; until
    that is done, a moment later, answers tell less.

    Below Guard, which finds the user of a call that names none in a header; above all that may answer without an
    attempt, so that such an answer is told too.
    """

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._spent = Spent()
        self._began_ms = clock.unix_ms()
        self._recalling: asyncio.Task[None] | None = None

    async def close(self) -> None:
        if self._recalling is not None:
            self._recalling.cancel()
            await asyncio.wait((self._recalling,))

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        record = call.record
        if call.kind is not Kind.MESSAGES or (record.user is None and record.session is None):
            return proceed(call)
        if self._recalling is None:
            self._recalling = asyncio.get_running_loop().create_task(self._recall())
        return self._add_up(call, proceed)

    async def _recall(self) -> None:
        midnight_ms = self._began_ms // DAY_MS * DAY_MS
        try:
            earlier = await self._ledger.spent_between(midnight_ms - DAYS_BEFORE * DAY_MS, self._began_ms)
        except LedgerError as problem:
            log.warning("what users and sessions spent before this start is not told: %s", problem)
        else:
            self._spent.recall(earlier, utc_day(self._clock.unix_ms()))

    async def _add_up(self, call: Call, proceed: Proceed) -> Reply:
        try:
            reply = await proceed(call)
        except BaseException:
            call.when_settled(partial(self._over, call))
            raise
        if reply.stream is None:
            self._over(call)
        else:
            reply.stream.on_end(partial(self._over, call))
            self._tell(call, 0)
        return reply

    def _over(self, call: Call) -> None:
        self._tell(call, sum([attempt.record.cost_pico or 0 for attempt in call.attempts]))

    def _tell(self, call: Call, more_pico: int) -> None:
        record = call.record
        standing = call.standing
        if standing is None:
            standing = call.standing = Standing()
        today = utc_day(self._clock.unix_ms())
        standing.user_pico, standing.session_pico = self._spent.add(record.user, record.session, more_pico, today)
