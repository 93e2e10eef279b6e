"""The Usage and Cost API: who used what, and what it cost, out of the simulator's books (claude-api.md §13).

Both reports are lists of time buckets in UTC, five minutes late.  Usage comes by the minute, hour or day; costs come by
the day, in cents as decimal strings.  Takes admin keys only.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from msgspec.json import encode

from headgate.net.app import Response
from headgate.sim.account.invoice import Usage
from headgate.sim.account.usage_log import MINUTE_MS, Dimensions, Sum
from headgate.sim.edge import json_headers
from headgate.sim.errors import ApiError, invalid
from headgate.sim.facts import FACTS
from headgate.sim.pages import Query
from headgate.sim.world import Visit, World

__all__ = ["Reports"]


class Width(NamedTuple):
    """A bucket width, and how many buckets an answer has."""

    minutes: int
    buckets: int
    most_buckets: int


DAY_MINUTES = 1_440
WIDTHS = {"1m": Width(1, 60, 1_440), "1h": Width(60, 24, 168), "1d": Width(DAY_MINUTES, 7, 31)}
_FILTERS = {
    "api_key_ids": "api_key_id",
    "workspace_ids": "workspace_id",
    "models": "model",
    "service_tiers": "service_tier",
    "context_window": "context_window",
    "inference_geos": "inference_geo",
    "speeds": "speed",
}
"""Query parameter → what it restricts."""
_PEOPLE = ("account_id", "service_account_id")
"""Whom the simulator does not know: usage by key has neither."""
_VALUES = {
    "service_tiers": ("standard", "batch", "priority", "priority_on_demand", "flex", "flex_discount"),
    "context_window": ("0-200k", "200k-1M"),
    "inference_geos": ("global", "us", "not_available"),
    "speeds": ("standard", "fast"),
}
_TOKEN_TYPES = {
    "input": "uncached_input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write_5m": "cache_creation.ephemeral_5m_input_tokens",
    "cache_write_1h": "cache_creation.ephemeral_1h_input_tokens",
}
"""Kind of usage in the books → the `token_type` of a cost."""
_WORDS = {
    "input": "Input Tokens",
    "output": "Output Tokens",
    "cache_read": "Input Tokens, Cache Read",
    "cache_write_5m": "Input Tokens, Cache Write (5m)",
    "cache_write_1h": "Input Tokens, Cache Write (1h)",
}


_Used = list[tuple[Dimensions, Sum]]
"""What was used in one bucket."""


@dataclass(slots=True)
class _Range:
    """The buckets that a request asks for: minutes since 1970."""

    begin: int
    end: int
    width: int
    most: int

    def buckets(self) -> Iterator[tuple[int, int]]:
        for begin in range(self.begin, self.end, self.width)[: self.most]:
            yield begin, begin + self.width

    def following(self) -> int | None:
        """Where the next page begins, if there is one."""
        begin = self.begin + self.most * self.width
        return begin if begin < self.end else None


class Reports:
    """The endpoints, over one world."""

    def __init__(self, world: World, settle: Callable[[], Awaitable[None]]) -> None:
        """`settle` brings the books up to date before they are read."""
        self._world = world
        self._settle = settle

    async def usage(self, visit: Visit) -> Response:
        """`GET /v1/organizations/usage_report/messages`."""
        query = _arrays(visit.query)
        width = WIDTHS.get(_one(query, "bucket_width", "1d"))
        if width is None:
            raise invalid(f"bucket_width: Input should be one of {', '.join(WIDTHS)}")
        groups = _groups(query, (*_FILTERS.values(), *_PEOPLE))
        wanted = _restrictions(query)
        minutes = await self._minutes(visit)
        asked = self._range(query, width)
        return _answer(asked, minutes, lambda used, _: _usage_results(used, groups, wanted))

    async def costs(self, visit: Visit) -> Response:
        """`GET /v1/organizations/cost_report`.  Costs of the Priority Tier are left out, as the API does."""
        query = _arrays(visit.query)
        if _one(query, "bucket_width", "1d") != "1d":
            raise invalid("bucket_width: Input should be 1d")
        groups = _groups(query, ("workspace_id", "description", "inference_geo"))
        minutes = await self._minutes(visit)
        asked = self._range(query, WIDTHS["1d"])
        containers = self._world.containers.cost_by_day(visit.caller.organisation, visit.began_ms)
        return _answer(
            asked, minutes, lambda used, begin: _cost_results(used, groups, containers.get(begin // DAY_MINUTES, 0))
        )

    async def _minutes(self, visit: Visit) -> Mapping[int, dict[Dimensions, Sum]]:
        """What shows by now: whole minutes that are long enough ago."""
        await self._settle()
        minutes = self._world.books.usage.minutes(visit.caller.organisation)
        late_ms = self._world.settings.books.reports_late_s * 1000
        if late_ms <= 0:
            return minutes
        last = (visit.began_ms - late_ms) // MINUTE_MS - 1
        return {minute: sums for minute, sums in minutes.items() if minute <= last}

    def _range(self, query: Query, width: Width) -> _Range:
        """The buckets asked for, up to the one that is under way.

        Raises:
            ApiError: 400.
        """
        if "starting_at" not in query:
            raise invalid("starting_at: Field required")
        now = self._world.clock.unix_ms() // MINUTE_MS + 1
        end = min(now, _minute(query["ending_at"][-1], "ending_at")) if "ending_at" in query else now
        begin = _minute(query["starting_at"][-1], "starting_at")
        if "page" in query:
            begin = _minute_of_page(query["page"][-1])
        limit = _one(query, "limit", str(width.buckets))
        if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= width.most_buckets):
            raise invalid(f"limit: Input should be from 1 to {width.most_buckets}")
        return _Range(begin // width.minutes * width.minutes, end, width.minutes, int(limit))


# -- what is told of a bucket ------------------------------------------------------------------------------------------


def _answer(
    asked: _Range, minutes: Mapping[int, dict[Dimensions, Sum]], results: Callable[[_Used, int], list[dict[str, Any]]]
) -> Response:
    """The page of buckets, each with what `results` makes of what was used in it."""
    used: dict[int, _Used] = {begin: [] for begin, _ in asked.buckets()}
    for minute, sums in minutes.items():
        bucket = used.get(minute // asked.width * asked.width)
        if bucket is not None and minute < asked.end:
            bucket += sums.items()
    data = [
        {"starting_at": _stamp(begin), "ending_at": _stamp(end), "results": results(used[begin], begin)}
        for begin, end in asked.buckets()
    ]
    following = asked.following()
    page = None if following is None else "page_" + urlsafe_b64encode(_stamp(following).encode()).decode()
    return Response(200, json_headers(), encode({"data": data, "has_more": page is not None, "next_page": page}))


def _usage_results(
    used: _Used, groups: frozenset[str], wanted: Mapping[str, frozenset[str | None]] | None
) -> list[dict[str, Any]]:
    """One result a group; a group is what stands at every dimension that is asked for, None for the others."""
    totals: dict[tuple[str | None, ...], Usage] = {}
    if wanted is not None:
        for dimensions, total in used:
            if all(_named(dimensions, name) in allowed for name, allowed in wanted.items()):
                group = tuple(_named(dimensions, name) if name in groups else None for name in Dimensions._fields)
                totals.setdefault(group, Usage()).add(total.usage)
    ordered = sorted(totals.items(), key=lambda item: tuple(value or "" for value in item[0]))
    return [_usage_told(dict(zip(Dimensions._fields, group, strict=True)), usage) for group, usage in ordered]


def _usage_told(group: dict[str, str | None], usage: Usage) -> dict[str, Any]:
    return {
        **group,
        **dict.fromkeys(_PEOPLE),
        "uncached_input_tokens": usage.input,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "server_tool_use": {"web_search_requests": usage.web_searches},
    }


def _named(dimensions: Dimensions, name: str) -> str | None:
    """The default workspace has no id."""
    value: str = getattr(dimensions, name)
    return value or None


def _cost_results(used: _Used, groups: frozenset[str], containers_pico: int) -> list[dict[str, Any]]:
    """One result a group, amounts in cents; all of a day together where nothing is asked for.  Containers are the
    organisation's, whichever workspace runs code in them."""
    totals: Counter[tuple[str | None, ...]] = Counter()
    for dimensions, total in used:
        if dimensions.service_tier == "priority":
            continue
        workspace = _named(dimensions, "workspace_id") if "workspace_id" in groups else None
        for kind, pico in total.cost_pico.items():
            if pico:
                totals[(workspace, *_described(dimensions, kind, groups))] += pico
    if containers_pico:
        totals[(None, *_not_of_tokens("Code Execution Usage", "code_execution", groups))] += containers_pico
    ordered = sorted(totals.items(), key=lambda item: tuple(value or "" for value in item[0]))
    return [
        {"amount": _cents(pico), "currency": "USD", **dict(zip(_COST_FIELDS, group, strict=True))}
        for group, pico in ordered
    ]


_COST_FIELDS = (
    "workspace_id",
    "inference_geo",
    "description",
    "cost_type",
    "model",
    "service_tier",
    "context_window",
    "token_type",
)


def _described(dimensions: Dimensions, kind: str, groups: frozenset[str]) -> tuple[str | None, ...]:
    """Everything but workspace and amount, in the order of `_COST_FIELDS`."""
    geography = dimensions.inference_geo if "inference_geo" in groups or "description" in groups else None
    if kind == "web_searches":
        return _not_of_tokens("Web Search Usage", "web_search", groups)
    if "description" not in groups:
        return geography, *[None] * 6
    name = FACTS.by_name[dimensions.model].display_name
    batch = " (Batch)" if dimensions.service_tier == "batch" else ""
    fast = " (Fast)" if dimensions.speed == "fast" else ""
    description = f"{name} Usage{batch}{fast} - {_WORDS.get(kind, kind)}"
    tokens = kind in _TOKEN_TYPES
    return (
        geography,
        description,
        "tokens" if tokens else kind,
        dimensions.model,
        dimensions.service_tier,
        dimensions.context_window,
        _TOKEN_TYPES.get(kind),
    )


def _not_of_tokens(description: str, cost_type: str, groups: frozenset[str]) -> tuple[str | None, ...]:
    """What costs the same everywhere, with every model."""
    if "description" not in groups:
        return (None,) * 7
    return None, description, cost_type, *[None] * 4


def _cents(pico: int) -> str:
    """Cents as an exact decimal string: `123.45` is $1.2345."""
    return f"{Decimal(pico).scaleb(-10).normalize():f}"


# -- what is asked for -------------------------------------------------------------------------------------------------


def _arrays(query: Query) -> dict[str, list[str]]:
    """A list may be written as `models=a&models=b` or with brackets."""
    told: dict[str, list[str]] = {}
    for name, values in query.items():
        told.setdefault(name.removesuffix("[]"), []).extend(values)
    return told


def _one(query: Query, name: str, default: str) -> str:
    return query.get(name, (default,))[-1]


def _groups(query: Query, known: tuple[str, ...]) -> frozenset[str]:
    groups = frozenset(query.get("group_by", ()))
    if not groups <= frozenset(known):
        raise invalid(f"group_by: Input should be one of {', '.join(known)}")
    return groups


def _restrictions(query: Query) -> dict[str, frozenset[str | None]] | None:
    """Dimension → values that are let through; None where nothing can be: nobody has an account here."""
    if query.get("account_ids") or query.get("service_account_ids"):
        return None
    wanted: dict[str, frozenset[str | None]] = {}
    for name, dimension in _FILTERS.items():
        if name in query:
            known = _VALUES.get(name)
            if known is not None and not set(query[name]) <= set(known):
                raise invalid(f"{name}: Input should be one of {', '.join(known)}")
            wanted[dimension] = frozenset(query[name])
    return wanted


def _minute(text: str, name: str) -> int:
    """Minutes since 1970 of an RFC 3339 time.

    Raises:
        ApiError: 400.
    """
    try:
        told = datetime.fromisoformat(text)
        told = told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
        return int(told.timestamp() // 60)
    except (ValueError, OverflowError):
        raise invalid(f"{name}: Input should be an RFC 3339 time") from None


def _minute_of_page(cursor: str) -> int:
    try:
        return _minute(urlsafe_b64decode(cursor.removeprefix("page_").encode()).decode(), "page")
    except (Error, ValueError, UnicodeError, ApiError):
        raise invalid("page: this is no cursor of this report") from None


def _stamp(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).isoformat().replace("+00:00", "Z")
