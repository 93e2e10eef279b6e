"""What can change while a run goes on: overload, other users of the account, spend caps, revoked keys, pace.

One `Weather` belongs to one world.  Its values are read where a request meets them and changed in two ways only: at
once by `change`, or ahead of time by `plan`.  What is planned comes into force by itself, at its own instant, when the
next request looks; nothing runs in the background, so the same seed and the same requests give the same run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from heapq import heappop, heappush
from itertools import count
from math import isfinite
from typing import Any, NamedTuple

__all__ = ["CHANGEABLE", "OtherUsers", "Weather", "checked"]


class OtherUsers(NamedTuple):
    """What others take of every pool of the account: a share of each limit, and so much a minute besides."""

    share: float = 0.0
    rpm: float = 0.0
    itpm: float = 0.0
    otpm: float = 0.0

    @property
    def idle(self) -> bool:
        return not any(self)


class Weather:
    """The conditions of now.  Read the attributes; write by `change` and `plan`.

    Attributes:
        overload_share: how likely a message is answered with 529, from 0 to 1.
        overload_retry_after_s: the `retry-after` of those, or None for none (claude-api.md §17.6).
        others_share, others_rpm, others_itpm, others_otpm: what others use up (see `Conditions`).
        enforced_spend_cap_usd, contract_spend_limit_usd, self_set_spend_limit_usd: monthly, None for none (§8.3).
        revoked_keys: answered with 401.
        latency_factor: every wait of an answer takes so many times as long.
        quiet: nobody else has used the account since the world began.
    """

    __slots__ = (
        "_began_s",
        "_order",
        "_planned",
        "_tides",
        "contract_spend_limit_usd",
        "enforced_spend_cap_usd",
        "latency_factor",
        "others_itpm",
        "others_otpm",
        "others_rpm",
        "others_share",
        "overload_retry_after_s",
        "overload_share",
        "quiet",
        "revoked_keys",
        "self_set_spend_limit_usd",
    )

    overload_share: float
    overload_retry_after_s: float | None
    others_share: float
    others_rpm: float
    others_itpm: float
    others_otpm: float
    enforced_spend_cap_usd: Decimal | None
    contract_spend_limit_usd: Decimal | None
    self_set_spend_limit_usd: Decimal | None
    revoked_keys: frozenset[str]
    latency_factor: float

    def __init__(
        self, conditions: Mapping[str, Any], forecast: Mapping[float, Mapping[str, Any]], now_s: float
    ) -> None:
        """Begin with `conditions`, all that there are; `now_s` is where the seconds of the forecast begin.

        Raises:
            ValueError: as `change`.
        """
        self._began_s = now_s
        self._order = count()
        self._planned: list[tuple[float, int, dict[str, Any]]] = []
        self._tides: list[tuple[float, OtherUsers]] = [(now_s, OtherUsers())]
        self.quiet = True
        self.change(now_s, **{name: conditions[name] for name in CHANGEABLE})
        for at_s, changes in forecast.items():
            self.plan(at_s, **changes)

    def change(self, now_s: float, **changes: Any) -> None:
        """Change conditions from `now_s` on, in seconds of the world's clock.

        Raises:
            ValueError: naming what cannot change, or the value that cannot be; nothing has changed then.
        """
        for name, value in checked(changes).items():
            setattr(self, name, value)
        if not _OTHERS.isdisjoint(changes):
            now = OtherUsers(self.others_share, self.others_rpm, self.others_itpm, self.others_otpm)
            self.quiet = self.quiet and now.idle
            if now != self._tides[-1][1]:
                self._tides.append((now_s, now))

    def plan(self, at_s: float, **changes: Any) -> None:
        """Change conditions `at_s` seconds after the world began; of two plans for one instant the later one holds.

        Raises:
            ValueError: as `change`.
        """
        at_s = self._began_s + _number("the instant of a change", at_s)
        heappush(self._planned, (at_s, next(self._order), checked(changes)))

    def catch_up(self, now_s: float) -> None:
        """Bring what was planned up to now into force."""
        while self._planned and self._planned[0][0] <= now_s:
            at_s, _, changes = heappop(self._planned)
            self.change(at_s, **changes)

    def tides(self, since_s: float, until_s: float) -> Iterator[tuple[float, OtherUsers]]:
        """What others took between two instants: seconds of it, and how much; the oldest first."""
        tides = self._tides
        first = len(tides) - 1
        while first > 0 and tides[first][0] > since_s:
            first -= 1
        for number in range(first, len(tides)):
            begins_s = max(since_s, tides[number][0]) if number > first else since_s
            ends_s = min(until_s, tides[number + 1][0]) if number + 1 < len(tides) else until_s
            if ends_s > begins_s:
                yield ends_s - begins_s, tides[number][1]


_OTHERS = frozenset({"others_share", "others_rpm", "others_itpm", "others_otpm"})


def checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    """`changes` with every value in its own type.

    Raises:
        ValueError: naming what is no condition, or the value that cannot be.
    """
    told = {}
    for name, value in changes.items():
        check = CHANGEABLE.get(name)
        if check is None:
            raise ValueError(f"{name!r} is not a condition that changes; there are {', '.join(sorted(CHANGEABLE))}")
        told[name] = check(name, value)
    return told


def _number(name: str, value: Any, least: float = 0.0, most: float = float("inf")) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not isfinite(value)
        or not least <= value <= most
    ):
        bound = f"from {least:g} to {most:g}" if isfinite(most) else f"{least:g} or more"
        raise ValueError(f"{name} is {value!r}, and must be a number, {bound}")
    return float(value)


def _share(name: str, value: Any) -> float:
    return _number(name, value, most=1.0)


def _seconds_or_none(name: str, value: Any) -> float | None:
    return None if value is None else _number(name, value)


def _dollars_or_none(name: str, value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        dollars = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        dollars = Decimal("nan")
    if isinstance(value, bool) or not dollars.is_finite() or dollars < 0:
        raise ValueError(f"{name} is {value!r}, and must be an amount of dollars, 0 or more, or None")
    return dollars


def _keys(name: str, value: Any) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, Collection) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{name} must be a list of keys")
    return frozenset(value)


CHANGEABLE = {
    "overload_share": _share,
    "overload_retry_after_s": _seconds_or_none,
    "others_share": _number,
    "others_rpm": _number,
    "others_itpm": _number,
    "others_otpm": _number,
    "latency_factor": _number,
    "enforced_spend_cap_usd": _dollars_or_none,
    "contract_spend_limit_usd": _dollars_or_none,
    "self_set_spend_limit_usd": _dollars_or_none,
    "revoked_keys": _keys,
}
"""Every condition that can change during a run, with what checks a value of it."""
