"""Tell callers what their user and their session have spent."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import Any

from headgate.call import Call, Kind, Reply, Standing
from headgate.clock import Clock, utc_day
from headgate.core.spent import Spent
from headgate.engine.filter import Proceed

__all__ = ["TellSpent"]


class TellSpent:
    """Adds up what calls cost, by user and by session.

    Below Guard, which finds the user of a call that names none in a header; above all that may answer without an
    attempt, so that such an answer is told too.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spent = Spent()

    def __call__(self, call: Call, proceed: Proceed) -> Coroutine[Any, Any, Reply]:
        record = call.record
        if call.kind is not Kind.MESSAGES or (record.user is None and record.session is None):
            return proceed(call)
        return self._add_up(call, proceed)

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
