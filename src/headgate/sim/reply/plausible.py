"""Plausible values: what a property is called says what stands in it.

Nothing here is anybody's: addresses are of example.com, numbers of the ranges kept for documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

__all__ = ["FORMATS", "formatted", "number", "text"]

_FIRST_NAMES = ("Ada", "Bram", "Chiara", "David", "Elin", "Femke", "Goran", "Hana", "Ines", "Jonas", "Katja", "Liam")
_LAST_NAMES = ("Almeida", "Bakker", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haas", "Ito", "Jansen", "Kaya")
_CITIES = ("Utrecht", "Lyon", "Leipzig", "Porto", "Sevilla", "Gdańsk", "Tartu", "Ghent", "Bergen", "Graz")
_COUNTRIES = ("Netherlands", "France", "Germany", "Portugal", "Spain", "Poland", "Estonia", "Belgium", "Norway")
_CODES = ("NL", "FR", "DE", "PT", "ES", "PL", "EE", "BE", "NO")
_WORDS = ("canal", "gate", "level", "basin", "season", "survey", "weir", "field", "share", "measure", "outlet", "flow")
_STATES = ("open", "pending", "closed", "active", "done")
_SENTENCES = (
    "The level rose by a third overnight and fell again before noon.",
    "Each field gets the share that was agreed in spring.",
    "No gate was opened without a second pair of eyes.",
    "The survey names three places where the bank is weak.",
    "What is left in the basin lasts for about nine days.",
    "Two measurements disagree, and the older one is probably wrong.",
)
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_DAY_S = 86_400


def _moment(rng: Random) -> datetime:
    return _EPOCH + timedelta(seconds=rng.randrange(330 * _DAY_S))


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _email(rng: Random) -> str:
    return f"{rng.choice(_FIRST_NAMES)}.{rng.choice(_LAST_NAMES)}@example.com".lower()


def _uri(rng: Random) -> str:
    return f"https://example.com/{rng.choice(_WORDS)}/{rng.randrange(1_000)}"


FORMATS: dict[str, Callable[[Random], str]] = {
    "date-time": lambda rng: _moment(rng).strftime("%Y-%m-%dT%H:%M:%SZ"),
    "date": lambda rng: _moment(rng).strftime("%Y-%m-%d"),
    "time": lambda rng: _moment(rng).strftime("%H:%M:%SZ"),
    "duration": lambda rng: f"PT{rng.randint(1, 23)}H{rng.randint(1, 59)}M",
    "email": _email,
    "hostname": lambda rng: f"{rng.choice(_WORDS)}-{rng.randint(1, 9)}.example.com",
    "uri": _uri,
    "ipv4": lambda rng: f"192.0.2.{rng.randint(1, 254)}",
    "ipv6": lambda rng: f"2001:db8::{rng.randint(1, 0xFFFF):x}",
    "uuid": _uuid,
}
"""The string formats that structured outputs take (claude-api.md §12)."""
_MORE_FORMATS: dict[str, Callable[[Random], str]] = {
    "idn-email": _email,
    "idn-hostname": FORMATS["hostname"],
    "iri": _uri,
    "uri-reference": lambda rng: f"/{rng.choice(_WORDS)}/{rng.randrange(1_000)}",
    "iri-reference": lambda rng: f"/{rng.choice(_WORDS)}",
    "uri-template": lambda rng: "https://example.com/{id}",
    "json-pointer": lambda rng: f"/{rng.choice(_WORDS)}",
    "relative-json-pointer": lambda rng: f"0/{rng.choice(_WORDS)}",
    "regex": lambda rng: f"^{rng.choice(_WORDS)}[0-9]+$",
}
"""Others, for tools whose schema is not enforced."""


def formatted(name: object, rng: Random) -> str | None:
    """A string of this format, or None for a format nobody knows."""
    draw = (FORMATS.get(name) or _MORE_FORMATS.get(name)) if isinstance(name, str) else None
    return None if draw is None else draw(rng)


_NAMED: tuple[tuple[re.Pattern[str], Callable[[Random], str]], ...] = tuple(
    (re.compile(pattern), draw)
    for pattern, draw in (
        (r"e_?mail", _email),
        (r"uuid|guid", _uuid),
        (r"(^|_)(url|uri|link|href|website|homepage)", _uri),
        (r"(^|_)(host|domain|hostname)$", FORMATS["hostname"]),
        (r"(^|_)ip(_|$)", FORMATS["ipv4"]),
        (r"timestamp|_at$|date_?time", FORMATS["date-time"]),
        (r"date|birthday|(^|_)day$|deadline", FORMATS["date"]),
        (r"(^|_)time$", lambda rng: _moment(rng).strftime("%H:%M")),
        (r"phone|mobile|(^|_)tel", lambda rng: f"+1-202-555-01{rng.randrange(100):02}"),
        (r"first_?name|given_?name", lambda rng: rng.choice(_FIRST_NAMES)),
        (r"last_?name|surname|family_?name", lambda rng: rng.choice(_LAST_NAMES)),
        (r"city|town|location|destination|origin", lambda rng: rng.choice(_CITIES)),
        (r"country_?code", lambda rng: rng.choice(_CODES)),
        (r"country", lambda rng: rng.choice(_COUNTRIES)),
        (r"currency", lambda rng: rng.choice(("EUR", "USD", "GBP"))),
        (r"lang(uage)?$|locale", lambda rng: rng.choice(("en", "de", "nl", "fr", "es"))),
        (r"colou?r", lambda rng: rng.choice(("blue", "green", "grey", "amber"))),
        (r"status|state$", lambda rng: rng.choice(_STATES)),
        (r"version", lambda rng: f"{rng.randint(0, 4)}.{rng.randrange(20)}.{rng.randrange(10)}"),
        (r"(^|_)(path|file|filename|file_path|directory|dir)$", lambda rng: f"/srv/{rng.choice(_WORDS)}.txt"),
        (r"query|search|keyword", lambda rng: f"{rng.choice(_WORDS)} {rng.choice(_WORDS)}"),
        (r"(^|_)id$", lambda rng: f"{rng.choice(_WORDS)}-{rng.randrange(10_000):04}"),
        (r"author|person|user_?name|customer|contact|owner|assignee|(full|display)_?name",
         lambda rng: f"{rng.choice(_FIRST_NAMES)} {rng.choice(_LAST_NAMES)}"),
        (r"title|subject|headline", lambda rng: f"The {rng.choice(_WORDS)} and the {rng.choice(_WORDS)}"),
        (r"descri|summary|text|content|message|body|reason|note|comment|explanation|answer|analysis|detail",
         lambda rng: " ".join(rng.sample(_SENTENCES, rng.randint(1, 2)))),
        (r"address|street", lambda rng: f"{rng.randint(1, 90)} Sluice Road, {rng.choice(_CITIES)}"),
    )
)  # fmt: skip
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _snake(name: str) -> str:
    return _CAMEL.sub("_", name[:60]).lower().replace("-", "_").replace(" ", "_")


def text(name: str, rng: Random) -> str:
    """What could stand in a string property of this name."""
    plain = _snake(name)
    for pattern, draw in _NAMED:
        if pattern.search(plain):
            return draw(rng)
    return f"{rng.choice(_WORDS)} {rng.choice(_WORDS)}" if rng.random() < 0.5 else rng.choice(_WORDS)


_RANGES: tuple[tuple[re.Pattern[str], float, float], ...] = tuple(
    (re.compile(pattern), low, high)
    for pattern, low, high in (
        (r"confidence|probability|ratio|score|likelihood|fraction|weight", 0.0, 1.0),
        (r"percent", 0.0, 100.0),
        (r"latitude|(^|_)lat$", -90.0, 90.0),
        (r"longitude|(^|_)(lon|lng)$", -180.0, 180.0),
        (r"age$", 18, 90),
        (r"year", 1990, 2026),
        (r"month", 1, 12),
        (r"(^|_)day", 1, 28),
        (r"hour", 0, 23),
        (r"minute|second", 0, 59),
        (r"rating|stars|priority|severity", 1, 5),
        (r"price|amount|cost|total|salary|budget", 5, 900),
        (r"port$", 1_024, 49_151),
        (r"temperature", -5, 35),
        (r"count|quantity|(^|_)(num|n|number)|passengers|guests|limit", 1, 12),
    )
)


def number(name: str, rng: Random, *, whole: bool) -> int | float:
    """What could stand in a numeric property of this name."""
    plain = _snake(name)
    low, high = next(((low, high) for pattern, low, high in _RANGES if pattern.search(plain)), (0, 100))
    if whole:
        return rng.randint(int(low), int(high))
    return round(rng.uniform(low, high), 2)
