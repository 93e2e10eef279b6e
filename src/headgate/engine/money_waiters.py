"""Calls that wait for money to come free."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from headgate.core.grants import Account

__all__ = ["MoneyWaiters"]

WOKEN = 8
"""When money comes free, so many calls that wait look whether it is enough for them."""


class MoneyWaiters:
    """A queue for each account.  Who looks in vain goes to its end.

    Args:
        poll_s: how often one of them looks though nothing came free here: another process may have given something
            back.  None: there is no other.
    """

    def __init__(self, poll_s: float | None) -> None:
        self._poll_s = poll_s
        self._queues: dict[Account, deque[asyncio.Future[int]]] = {}
        self._polls: dict[Account, asyncio.TimerHandle] = {}

    async def come_free(self, account: Account, longest_s: float, tries: int) -> int:
        """Return when money may have come free in `account`, or after `longest_s`.

        Args:
            tries: what this returned before to the same call, 0 at first.
        """
        if tries:
            self.wake(account, tries)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[int] = loop.create_future()
        queue = self._queues.setdefault(account, deque())
        queue.append(waiter)
        account.waiting += 1
        if self._poll_s is not None and account not in self._polls:
            self._polls[account] = loop.call_later(self._poll_s, self._poll, account)
        timer = loop.call_later(longest_s, _wake, waiter, WOKEN)
        try:
            return await waiter
        finally:
            timer.cancel()
            account.waiting -= 1
            if waiter in queue:
                queue.remove(waiter)
            elif waiter.cancelled():
                self.wake(account)  # its turn is another's
            if not queue:
                self._queues.pop(account, None)

    def must_wait(self, held: Mapping[Account, int], wanted: Mapping[Account, int]) -> Account | None:
        """An account in which others wait already, and of which too little is left as far as is known: asking the store
        would not help."""
        for account, amount in wanted.items():
            if account.waiting and amount - held.get(account, 0) > account.rest:
                return account
        return None

    def wake(self, account: Account, tries: int = 0) -> None:
        """Have the next in turn look.  If what is free is too little for it, one behind it may need less: a few are
        asked."""
        queue = self._queues.get(account)
        while queue and tries < WOKEN:
            waiter = queue.popleft()
            if not waiter.done():
                waiter.set_result(tries + 1)
                return

    def wake_all(self) -> None:
        """One in each account."""
        for account in list(self._queues):
            self.wake(account)

    def close(self) -> None:
        for timer in self._polls.values():
            timer.cancel()

    def _poll(self, account: Account) -> None:
        del self._polls[account]
        if account.waiting and self._poll_s is not None:
            self.wake(account, WOKEN - 1)
            self._polls[account] = asyncio.get_running_loop().call_later(self._poll_s, self._poll, account)


def _wake(waiter: asyncio.Future[int], tries: int) -> None:
    if not waiter.done():
        waiter.set_result(tries)
