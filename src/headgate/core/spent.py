"""What each user has spent today, and each session since it began.  Pure: the day is an argument."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple, TypeVar

__all__ = ["Earlier", "Spent"]

V = TypeVar("V")

KEPT = 65_536
"""Callers choose the names: beyond it the one that was quiet for longest is forgotten."""


class Earlier(NamedTuple):
    """What calls of one user in one session have cost on one day, by the ledger."""

    user: str | None
    session: str | None
    day: date
    """UTC."""
    pico: int


class Spent:
    """Pico-dollars by user and by session, as far as this process has seen or been told."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._kept = kept
        self._users: OrderedDict[str, tuple[date, int]] = OrderedDict()
        self._sessions: OrderedDict[str, int] = OrderedDict()

    def of_user(self, user: str, day: date) -> int:
        since, pico = self._users.get(user, (day, 0))
        return pico if since == day else 0

    def of_session(self, session: str) -> int:
        return self._sessions.get(session, 0)

    def add(self, user: str | None, session: str | None, pico: int, day: date) -> tuple[int | None, int | None]:
        """A call cost so much.  Returns what its user has spent today and its session since it began; None where it
        names none."""
        user_pico = session_pico = None
        if user is not None:
            user_pico = self.of_user(user, day) + pico
            if pico:
                self._put(self._users, user, (day, user_pico))
        if session is not None:
            session_pico = self.of_session(session) + pico
            if pico:
                self._put(self._sessions, session, session_pico)
        return user_pico, session_pico

    def recall(self, earlier: Iterable[Earlier], today: date) -> None:
        """What was spent before this process began."""
        for user, session, day, pico in earlier:
            self.add(user if day == today else None, session, pico, today)

    def _put(self, kept: OrderedDict[str, V], name: str, value: V) -> None:
        kept[name] = value
        kept.move_to_end(name)
        if len(kept) > self._kept:
            kept.popitem(last=False)
