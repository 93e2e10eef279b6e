"""A pool's gate with those who wait at it, and the timer that wakes them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf

from headgate.clock import Clock
from headgate.core.gate import Gate
from headgate.core.opening_hours import OpeningHours
from headgate.core.ticket import NOTHING, Ticket

__all__ = ["OutOfPatience", "PoolGate", "PushedOut"]

HOURS_KEPT_S = 10.0
"""Opening hours are looked up this often, and when a lane opens or closes: the clock on the wall may be set."""


class OutOfPatience(Exception):
    """A ticket has waited as long as it may, and has left the queue."""


class PushedOut(Exception):
    """A ticket has left the queue to make room for another."""


class PoolGate:
    """The gate decides (core/gate.py); here it is asked whenever something has changed, and whoever may go is woken."""

    def __init__(self, pool: str, gate: Gate, hours: Mapping[str, OpeningHours], clock: Clock) -> None:
        """`hours`: of the lanes that have any."""
        self.pool = pool
        self.gate = gate
        self.waiting: dict[Ticket, asyncio.Future[None]] = {}
        """In the order they came."""
        self._hours = hours
        self._hours_until_s = -inf
        """Until then no lane opens or closes."""
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, ticket: Ticket, now_s: float, *, first: bool) -> bool:
        """Whether `ticket` may go at once; if not, it is in the queue, and `wait` must follow.

        Args:
            first: at the head of its tenant's queue.
        """
        if self._hours:
            self._keep_hours()
        if self.gate.ask(ticket, now_s, first=first):
            return True
        self.waiting[ticket] = asyncio.get_running_loop().create_future()
        self.pump()  # it may be its turn all the same: before others of its tenant, or into its lane's headroom
        return ticket.granted

    async def wait(self, ticket: Ticket, patience_s: float) -> None:
        """Until `ticket`, which is in the queue, may go.

        Raises:
            OutOfPatience: not within `patience_s`.
            PushedOut: its place was needed.
        """
        turn = self.waiting[ticket]
        timer = asyncio.get_running_loop().call_later(max(0.0, patience_s), _give_up, turn)
        try:
            await turn
        except BaseException:
            self.leave(ticket)
            raise
        finally:
            timer.cancel()

    def push_out(self, ticket: Ticket) -> None:
        """Send `ticket` away, which waits."""
        self.gate.withdraw(ticket, self._clock.now_s())
        turn = self.waiting.pop(ticket)
        if not turn.done():
            turn.set_exception(PushedOut())

    def leave(self, ticket: Ticket) -> None:
        """Its caller has gone, wherever `ticket` was: in the queue, or just granted."""
        self.waiting.pop(ticket, None)
        if ticket.granted:
            self._give_back(ticket)
        else:
            self.gate.withdraw(ticket, self._clock.now_s())
        self.pump()  # those behind it need not wait as long as it would have

    def pump(self) -> None:
        """Wake whoever may go, and look again when it is time."""
        gate = self.gate
        if self._hours:
            self._keep_hours()
        granted, next_s = gate.pump(self._clock.now_s())
        for ticket in granted:
            turn = self.waiting.pop(ticket, None)
            if turn is None or turn.done():
                self._give_back(ticket)  # its caller went in this very moment
                next_s = 0.0
            else:
                turn.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if next_s < inf and gate.queue.waiting:
            self._timer = asyncio.get_running_loop().call_later(next_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.pump()

    def _give_back(self, ticket: Ticket) -> None:
        """Nothing was sent."""
        ticket.granted = False  # once: it may be given back here and leave a moment later
        now_s = self._clock.now_s()
        ticket.backend.outcome("neutral", ticket, now_s)
        self.gate.settle(ticket, NOTHING, now_s)

    def _keep_hours(self) -> None:
        """Close the lanes that are closed now."""
        now_s = self._clock.now_s()
        if now_s < self._hours_until_s:
            return
        unix_ms = self._clock.unix_ms()
        self._hours_until_s = now_s + HOURS_KEPT_S
        for lane, hours in self._hours.items():
            closed_s = hours.closed_for_s(unix_ms)
            if closed_s > 0:
                self.gate.queue.close(lane, now_s + closed_s)
            else:
                self.gate.queue.open(lane)
            self._hours_until_s = min(self._hours_until_s, now_s + (closed_s or hours.open_for_s(unix_ms)))


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(OutOfPatience())
