"""What a question's address says, read strictly: a name or a value that nobody knows is refused, with those known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

from headgate.errors import HeadgateError

__all__ = ["DAY_MS", "MINUTE_MS", "SPANS", "BadQuestion", "Span", "one_of", "read_query", "span_of"]

MINUTE_MS = 60_000
DAY_MS = 86_400_000
LONGEST = 256
"""Characters of one value."""

SPANS = {"15m": 15, "1h": 60, "24h": 24 * 60, "7d": 7 * 24 * 60, "30d": 30 * 24 * 60}
"""In minutes, up to now."""


class BadQuestion(HeadgateError):
    """What was asked cannot be understood; says what can."""


class Span(NamedTuple):
    """From `since_ms` up to, not including, `until_ms`."""

    since_ms: int
    until_ms: int


def read_query(query: str, known: tuple[str, ...]) -> dict[str, str]:
    """The values of a query, by name; those that are empty are left out.

    Raises:
        BadQuestion: a name is not among `known`, or stands twice, or a value is too long.
    """
    told: dict[str, str] = {}
    for name, value in parse_qsl(query, max_num_fields=32):
        if name not in known or name in told or len(value) > LONGEST:
            raise BadQuestion(f"each of {', '.join(known)} may stand once" if known else "there is nothing to say here")
        told[name] = value
    return told


def one_of(told: Mapping[str, str], name: str, known: tuple[str, ...], default: str) -> str:
    """The value of `name`, which is one of `known`.

    Raises:
        BadQuestion: it is another.
    """
    value = told.get(name, default)
    if value not in known:
        raise BadQuestion(f"{name} is one of {', '.join(known)}")
    return value


def span_of(told: Mapping[str, str], now_ms: int, default: str = "24h") -> Span:
    """The minutes that `span` asks for: up to the end of the current one, so that the same question a second later is
    the same question.

    Raises:
        BadQuestion: there is no such span.
    """
    minutes = SPANS[one_of(told, "span", tuple(SPANS), default)]
    until_ms = (now_ms // MINUTE_MS + 1) * MINUTE_MS
    return Span(until_ms - minutes * MINUTE_MS, until_ms)
