"""The simulator's books: what every request used and cost, and how often a limit was broken.

Every request leaves one `Entry`; `Books` keeps the sums, and single entries up to a bound.  Money is pico-dollars.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, fields
from typing import Any

from headgate.sim.account.invoice import Terms, Usage, usd

__all__ = ["Books", "Entry", "Stats", "Totals"]

_TOKENS = tuple(kind.name for kind in fields(Usage) if kind.name != "web_searches")


@dataclass(slots=True)
class Entry:
    """One request, or one item of a batch, as it was billed.

    `outcome` is `complete`, `refused`, `error`, `limited`, `cut`, `client_left` or `broken` (by an error event).
    """

    request_id: str
    message_id: str | None
    model: str | None
    status: int
    usage: Usage
    cost_pico: int
    streamed: bool
    outcome: str
    batch: bool = False

    def told(self) -> dict[str, Any]:
        return {
            "request_id": self.request_id,
            "message_id": self.message_id,
            "model": self.model,
            "status": self.status,
            "outcome": self.outcome,
            "streamed": self.streamed,
            "batch": self.batch,
            "tokens": _tokens(self.usage),
            "web_searches": self.usage.web_searches,
            "cost_pico": self.cost_pico,
            "cost_usd": usd(self.cost_pico),
        }


@dataclass(slots=True)
class Totals:
    """Sums over requests."""

    requests: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_pico: int = 0

    def add(self, usage: Usage, cost_pico: int) -> None:
        self.requests += 1
        self.cost_pico += cost_pico
        mine = self.usage
        mine.input += usage.input
        mine.output += usage.output
        mine.cache_read += usage.cache_read
        mine.cache_write_5m += usage.cache_write_5m
        mine.cache_write_1h += usage.cache_write_1h
        mine.web_searches += usage.web_searches

    def told(self) -> dict[str, Any]:
        prompt = self.usage.prompt
        return {
            "requests": self.requests,
            "tokens": _tokens(self.usage),
            "web_searches": self.usage.web_searches,
            "cost_pico": self.cost_pico,
            "cost_usd": usd(self.cost_pico),
            "cached_share": round(self.usage.cache_read / prompt, 6) if prompt else 0.0,
        }


class Books:
    """All of it.  `requests` counts what reached `POST /v1/messages` and every batch item, failed ones included."""

    def __init__(self, entries: int) -> None:
        self.entries: deque[Entry] = deque(maxlen=entries)
        self.totals = Totals()
        self.by_model: dict[str, Totals] = {}
        self.limit_violations: Counter[str] = Counter()
        self.months: Counter[tuple[str, int, int]] = Counter()
        """Pico-dollars by organisation, year and month, for spend limits."""

    def record(self, entry: Entry, organisation: str, terms: Terms | None) -> None:
        """Add one closed tab.  `terms` is None for a request that never got as far as a model."""
        self.entries.append(entry)
        self.totals.add(entry.usage, entry.cost_pico)
        if terms is not None:
            by_model = self.by_model.get(terms.model.id)
            if by_model is None:
                by_model = self.by_model[terms.model.id] = Totals()
            by_model.add(entry.usage, entry.cost_pico)
            if entry.cost_pico:
                self.months[organisation, terms.day.year, terms.day.month] += entry.cost_pico

    def told(self, *, with_requests: bool) -> dict[str, Any]:
        """The body of `GET /sim/books`."""
        body = {
            **self.totals.told(),
            "by_model": {model: totals.told() for model, totals in sorted(self.by_model.items())},
            "limit_violations": {"total": self.limit_violations.total(), **_sorted(self.limit_violations)},
        }
        if with_requests:
            body["entries"] = [entry.told() for entry in self.entries]
        return body


@dataclass(slots=True)
class Stats:
    """What happened on the wire.  Streams started = finished + aborted + cut + open.

    Finished means that the stream ended as planned, an error event included; aborted that the client left; cut that
    the simulator broke the connection.
    """

    by_status: Counter[int] = field(default_factory=Counter)
    by_429: Counter[str] = field(default_factory=Counter)
    streams_started: int = 0
    streams_finished: int = 0
    streams_aborted: int = 0
    streams_cut: int = 0

    def told(self) -> dict[str, Any]:
        """The body of `GET /sim/stats`."""
        return {
            "streams_started": self.streams_started,
            "streams_finished": self.streams_finished,
            "streams_aborted": self.streams_aborted,
            "streams_cut": self.streams_cut,
            "streams_open": self.streams_started - self.streams_finished - self.streams_aborted - self.streams_cut,
            "requests_by_status": {str(status): count for status, count in sorted(self.by_status.items())},
            "limited_by_kind": _sorted(self.by_429),
        }


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _tokens(usage: Usage) -> dict[str, int]:
    return {kind: getattr(usage, kind) for kind in _TOKENS}
