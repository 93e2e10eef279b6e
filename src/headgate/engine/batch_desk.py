"""Message Batches of our own: make one, see when it has ended, read what came of it, cancel it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NamedTuple

from headgate.call import Call, Kind, Reply
from headgate.clock import Clock
from headgate.core.defer import ended_among
from headgate.engine.filter import Proceed
from headgate.engine.own_call import Access, own_call
from headgate.errors import Refused
from headgate.events import ErrorClass
from headgate.failure import Failure
from headgate.net.http import HeaderBlock
from headgate.records import CallRecord

__all__ = ["Account", "BatchDesk"]

PATH = "/v1/messages/batches"
ON_A_PAGE = 100
LOOKS_SHARE = 0.05
"""Of the time that its callers have left: a batch is asked for no more often.  An answer may wait as long to be
fetched."""
POLL_WITHIN_S = 60.0
"""Nobody waits longer for what a batch's state is."""


class Account(NamedTuple):
    """Whose batches they are, and how the API is asked for them."""

    access: Access
    """A batch that was made with one of our keys is asked for with it."""
    lane: str


@dataclass(slots=True)
class _Awaited:
    """A batch that somebody waits for, until `until_s` at most, and when it was asked for last."""

    done: asyncio.Future[None]
    until_s: float
    looked_s: float

    def is_due(self, now_s: float) -> bool:
        return now_s - self.looked_s >= LOOKS_SHARE * (self.until_s - now_s)


class BatchDesk:
    """Speaks to the API about batches, by calls of its own down the path from Retry on: they draw on the limits of
    batches, and are no calls of anybody's."""

    def __init__(self, proceed: Proceed, clock: Clock, new_call_id: Callable[[int], str], *, poll_s: float) -> None:
        self._proceed = proceed
        self._clock = clock
        self._new_call_id = new_call_id
        self._poll_s = poll_s
        self._awaited: dict[Account, dict[str, _Awaited]] = {}
        self._polls: dict[Account, asyncio.Task[None]] = {}

    async def create(self, account: Account, body: bytes, within_s: float) -> tuple[Reply, str]:
        """Make a batch; the reply, and the name of the credential it was made with.  It is not made twice: after a
        failure that leaves open whether it was made it is not tried again.

        Raises:
            Refused: it was not sent.
        """
        call = self._call(account, "POST", PATH, body, within_s)
        call.replayable = False
        reply = await self._proceed(call)
        return reply, call.attempt.record.credential

    async def ended(self, account: Account, batch_id: str, until_s: float) -> None:
        """Wait until the batch has ended.  One request asks for all batches of an account that are waited for: every
        `poll_s`, or less often where nobody gives up before `until_s`, which is long."""
        awaited = self._awaited.setdefault(account, {})
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        awaited[batch_id] = _Awaited(done, until_s, self._clock.now_s())
        if account not in self._polls:
            self._polls[account] = asyncio.get_running_loop().create_task(self._poll(account, awaited))
        try:
            await done
        finally:
            awaited.pop(batch_id, None)

    async def has_ended(self, account: Account, batch_id: str) -> bool | None:
        """Ask now; None if the API does not say."""
        reply = await self._ask(account, "GET", f"{PATH}/{batch_id}")
        told = ended_among(reply.body) if reply.failure is None else None
        return told.get(batch_id) if told is not None else None

    async def cancel(self, account: Account, batch_id: str) -> None:
        await self._ask(account, "POST", f"{PATH}/{batch_id}/cancel")

    async def results(self, account: Account, batch_id: str, within_s: float) -> AsyncIterator[bytes]:
        """The lines of its results, as far as they come."""
        reply = await self._ask(account, "GET", f"{PATH}/{batch_id}/results", within_s)
        if reply.failure is not None:
            return
        rest = b""
        stream = reply.stream
        if stream is None:
            rest = reply.body
        else:
            try:
                while data := await stream.read():
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        yield line
            finally:
                stream.close()
        for line in rest.split(b"\n"):
            if line:
                yield line

    async def close(self) -> None:
        tasks = [*self._polls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- asking ---------------------------------------------------------------------------------------------------

    async def _poll(self, account: Account, awaited: dict[str, _Awaited]) -> None:
        try:
            while awaited:
                await self._clock.sleep(self._poll_s)
                now_s = self._clock.now_s()
                if any(each.is_due(now_s) for each in awaited.values()):
                    await self._look(account, awaited)
        finally:
            del self._polls[account], self._awaited[account]

    async def _look(self, account: Account, awaited: dict[str, _Awaited]) -> None:
        for each in awaited.values():
            each.looked_s = self._clock.now_s()
        reply = await self._ask(account, "GET", f"{PATH}?limit={ON_A_PAGE}")
        told = ended_among(reply.body) if reply.failure is None else None
        if told is None:
            return
        for batch_id, each in [*awaited.items()]:
            ended = told[batch_id] if batch_id in told else await self.has_ended(account, batch_id)
            if ended and not each.done.done():
                each.done.set_result(None)

    async def _ask(self, account: Account, method: str, target: str, within_s: float = POLL_WITHIN_S) -> Reply:
        """What comes of a request; a failure also if it was not sent."""
        try:
            return await self._proceed(self._call(account, method, target, b"", within_s))
        except Refused:
            return Reply(0, HeaderBlock(), failure=Failure(ErrorClass.HELD_BACK, sent=False))

    def _call(self, account: Account, method: str, target: str, body: bytes, within_s: float) -> Call:
        now_s, now_ms = self._clock.now_s(), self._clock.unix_ms()
        record = CallRecord(
            call_id=self._new_call_id(now_ms), started_ms=now_ms, kind=Kind.BATCHES, workflow="batches",
            lane=account.lane,
        )  # fmt: skip
        return own_call(
            record, account.access, target, body, arrived_s=now_s, deadline_s=now_s + within_s, method=method
        )  # fmt: skip
