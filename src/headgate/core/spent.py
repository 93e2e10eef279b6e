"""What each user has spent today, and each session since it began.  Pure: the day is an argument."""

from __future__ import annotations

from collections import OrderedDict
from datetime import date

__all__ = ["Spent"]

KEPT = 65_536
"""Callers choose the names: beyond it the one that was quiet for longest is forgotten."""


class Spent:
    """Pico-dollars by user and by session, as far as this process has seen."""

    def __init__(self, *, kept: int = KEPT) -> None:
        self._kept = kept
        self._users: OrderedDict[str, tuple[date, int]] = OrderedDict()
        self._sessions: OrderedDict[str, int] = OrderedDict()

    def of_user(self, user: str, day: date) -> int:
        since, pico = self._users.get(user, (day, 0))
        return pico if since == day else 0

    def of_session(self, session: str) -> int:
        return self._sessions.get(session, 0)

    def add(self, user: str | None, session: str | None, pico: int, day: date) -> None:
        """A call is over and cost so much."""
        if user is not None:
            self._users[user] = day, self.of_user(user, day) + pico
            self._users.move_to_end(user)
            if len(self._users) > self._kept:
                self._users.popitem(last=False)
        if session is not None:
            self._sessions[session] = self.of_session(session) + pico
            self._sessions.move_to_end(session)
            if len(self._sessions) > self._kept:
                self._sessions.popitem(last=False)
