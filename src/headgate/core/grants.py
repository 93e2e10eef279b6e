"""What one process may spend of the accounts that it shares with others.  Pure.

A store keeps for each account what is settled, and for each process a grant: as much as that process has spent and not
yet told, or holds, or may hold without asking.  A call holds inside the grants of its process, in memory, in all
accounts that cover it or in none.  A process that dies leaves its grants behind, which then count as spent: too much,
never too little.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from headgate.core.budget import AccountKey, Budget

__all__ = [
    "NEVER_MS", "WANTED_MS", "Account", "Ask", "Drawn", "Hold", "Report", "State", "give_back", "grant_of", "heard",
    "take", "undo",
]  # fmt: skip

NEVER_MS = 2**62
"""When the window of a session ends."""
UNLIMITED_PICO = 2**62


class Account:
    """One account as a process knows it."""

    __slots__ = (
        "budget",
        "end_ms",
        "granted",
        "held",
        "key",
        "others",
        "settled",
        "spent",
        "told",
        "used_s",
        "waiting",
    )

    def __init__(self, budget: Budget, key: AccountKey, end_ms: int = NEVER_MS) -> None:
        self.budget = budget
        """As in force now."""
        self.key = key
        self.end_ms = end_ms
        self.granted = 0
        """Pico-dollars that this process may spend, those in the next two included."""
        self.spent = 0
        """Spent and not yet told."""
        self.held = 0
        """Set aside for calls under way."""
        self.settled = 0
        """What everybody has spent and told, when last heard of."""
        self.others = 0
        """What other processes were granted, when last heard of."""
        self.told = 0
        """Thresholds that were announced: a bit each."""
        self.used_s = 0.0
        self.waiting = 0
        """Calls that wait for money to come free."""

    @property
    def free(self) -> int:
        """May be held without asking; less than nothing where calls cost more than was expected."""
        return self.granted - self.spent - self.held

    @property
    def known(self) -> int:
        """What is spent or held by anybody, as far as is known here."""
        return self.settled + self.others + self.spent + self.held

    @property
    def really_spent(self) -> int:
        """By everybody, holds and grants not counted."""
        return self.settled + self.spent

    @property
    def limit(self) -> int:
        refuse = self.budget.refuse_pico
        return UNLIMITED_PICO if refuse is None else refuse

    @property
    def rest(self) -> int:
        """What is left for new holds as far as is known here, the own grant included."""
        return self.limit - self.known

    @property
    def share(self) -> float:
        """Of the cap: spent or held."""
        return (self.settled + self.others + self.spent + self.held) / self.budget.cap_pico


class Hold(msgspec.Struct, eq=False):
    """Money set aside for one call.  Ends settled, once; settling at nothing is releasing."""

    parts: dict[Account, int]
    """Its own from then on."""
    closed: bool = False

    def short(self, wanted: Mapping[Account, int]) -> list[tuple[Account, int]]:
        """What is missing in which account before the hold can be as `wanted`."""
        missing = []
        for account, amount in wanted.items():
            lack = amount - self.parts.get(account, 0) - account.free
            if lack > 0:
                missing.append((account, lack))
        return missing

    def raise_to(self, wanted: Mapping[Account, int], *, force: bool = False) -> bool:
        """Hold at least `wanted` in each account, in all or in none; False: there is not enough in a grant.

        Args:
            force: whether there is or not, since the money is being spent already.
        """
        if not force and self.short(wanted):
            return False
        for account, amount in wanted.items():
            more = amount - self.parts.get(account, 0)
            if more > 0:
                account.held += more
                self.parts[account] = amount
        return True

    def settle(self, costs: Mapping[Account, int]) -> None:
        """The call is over and cost so much in each account; in one that is not named, nothing."""
        if self.closed:
            return
        self.closed = True
        for account, amount in self.parts.items():
            account.held -= amount
        for account, cost in costs.items():
            account.spent += cost


def take(wanted: dict[Account, int]) -> Hold | None:
    """Hold so much in each account, or nothing in any: None.  `wanted` is the hold's from then on."""
    for account, amount in wanted.items():
        if account.granted < account.spent + account.held + amount:
            return None
    for account, amount in wanted.items():
        account.held += amount
    return Hold(wanted)


# -- what a store is asked and told ------------------------------------------------------------------------------------


class Ask(NamedTuple):
    """A process wants more of an account."""

    key: AccountKey
    limit: int
    """Not beyond this, all that is settled and granted together."""
    need: int
    most: int
    """Taken as far as plenty is left."""
    end_ms: int = NEVER_MS
    force: bool = False
    """It is being spent already: granted whether there is room or not."""


class Report(NamedTuple):
    """A process tells what it spent of its grant, and keeps the lease on the rest."""

    key: AccountKey
    spent: int
    keeps: int
    """The grant from now on."""
    had: int
    """The grant until now, what was spent included."""
    end_ms: int = NEVER_MS


class State(NamedTuple):
    """An account as its store knows it."""

    key: AccountKey
    settled: int
    others: int
    """Granted to other processes."""
    granted: int
    """Granted to the one that asks."""
    wanted: bool = False
    """Somebody was short of it within the last seconds."""
    lost: bool = False
    """The grant of the one that reports had run out and was counted as spent."""
    told: int = 0
    end_ms: int = NEVER_MS


class Drawn(NamedTuple):
    """What came of asking: all or nothing."""

    granted: tuple[int, ...]
    """What each account was granted on top; empty if one of them has too little."""
    states: list[State]
    short: AccountKey | None = None
    """The first that has too little."""


WANTED_MS = 2_000
"""So long after somebody was short of an account, others give back what they do not use of it."""

CHUNK_SHARE = 16
"""With what is needed comes a sixteenth of what is then left, so that the next calls need not ask; the less is left the
smaller it is, so that nobody sits on what others need."""


def grant_of(ask: Ask, settled: int, granted: int) -> int | None:
    """How much more a store grants; None: there is not enough.

    Args:
        granted: to everybody, the one that asks included.
    """
    left = ask.limit - settled - granted - ask.need
    if left < 0:
        return ask.need if ask.force else None
    return ask.need + max(0, min(ask.most - ask.need, left // CHUNK_SHARE))


def give_back(account: Account, keep: int) -> Report:
    """The report of what was spent, in which all that is free beyond `keep` is given back.  The account is changed at
    once, so that nothing is held of it in the meantime; `undo` if it could not be told."""
    spent = account.spent
    back = max(0, account.free - keep)
    had = account.granted
    account.granted = max(0, had - spent - back)
    account.spent = 0
    # Until the store has said so, what was told still counts as known.
    account.settled += spent
    return Report(account.key, spent, account.granted, had, account.end_ms)


def undo(account: Account, report: Report) -> None:
    """What `give_back` told could not be written down."""
    account.spent += report.spent
    account.settled -= report.spent
    account.granted += report.had - report.keeps


def heard(account: Account, state: State) -> None:
    """Take in what the store says of an account."""
    account.settled = state.settled
    account.others = state.others
    account.granted = state.granted
    account.told |= state.told
