"""The simulator's books: what every request used and cost, and how often a limit was broken.

Every request leaves one `Entry`; `Books` keeps the sums, and single entries up to a bound.  Money is pico-dollars.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from headgate.sim.account.access import Caller
from headgate.sim.account.invoice import Terms, Usage, usd
from headgate.sim.account.usage_log import UsageLog
from headgate.sim.dates import rfc3339
from headgate.sim.settings import BooksKept

__all__ = ["Books", "Entry", "Stats", "Totals"]

_TOKENS = tuple(kind.name for kind in fields(Usage) if kind.name != "web_searches")


@dataclass(slots=True)
class Entry:
    """One request, or one item of a batch, as it was billed.

    `outcome` is `complete`, `refused`, `error`, `limited`, `cut`, `client_left` or `broken` (by an error event).

    Attributes:
        at_ms: when it was booked, which is when the request ended.
        workspace, key_id: whose it was.
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
    at_ms: int = 0
    workspace: str = ""
    key_id: str = ""

    def told(self) -> dict[str, Any]:
        return {
            "request_id": self.request_id,
            "message_id": self.message_id,
            "at": rfc3339(self.at_ms),
            "workspace_id": self.workspace or None,
            "api_key_id": self.key_id,
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
        self.usage.add(usage)

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
    """All of it.  `requests` counts what reached `POST /v1/messages` and every batch item, failed ones included; by
    model it counts passes of a model, of which a request has one or several.  The default workspace is "".
    """

    def __init__(self, kept: BooksKept, unix_ms: Callable[[], int]) -> None:
        self._unix_ms = unix_ms
        self.entries: deque[Entry] = deque(maxlen=kept.entries)
        self.totals = Totals()
        self.by_model: dict[str, Totals] = {}
        self.by_workspace: dict[str, Totals] = {}
        self.by_key: dict[str, Totals] = {}
        self.limit_violations: Counter[str] = Counter()
        self.watcher: Callable[[Entry], object] | None = None
        """Is told every entry."""
        self.usage = UsageLog(kept.usage_minutes)
        self.months: Counter[tuple[str, str | None, int, int]] = Counter()
        """Pico-dollars by organisation, workspace (None is all of them), year and month, for spend limits."""

    def record(
        self, entry: Entry, caller: Caller, passes: Iterable[tuple[Terms, Usage, int]], at_ms: int | None = None
    ) -> None:
        """Add one closed tab.  `passes` are the entry's by model, none for a request that never got as far as one.

        Args:
            at_ms: when that was; now, unless it is told.
        """
        entry.at_ms = self._unix_ms() if at_ms is None else at_ms
        entry.workspace, entry.key_id = caller.workspace, caller.key_id
        self.entries.append(entry)
        if self.watcher is not None:
            self.watcher(entry)
        self.totals.add(entry.usage, entry.cost_pico)
        _of(self.by_workspace, caller.workspace).add(entry.usage, entry.cost_pico)
        _of(self.by_key, caller.key_id).add(entry.usage, entry.cost_pico)
        for terms, usage, cost_pico in passes:
            _of(self.by_model, terms.model.id).add(usage, cost_pico)
            self.usage.add(entry.at_ms, caller, terms, usage, cost_pico)
            if cost_pico:
                year, month = terms.day.year, terms.day.month
                self.months[caller.organisation, None, year, month] += cost_pico
                self.months[caller.organisation, caller.workspace, year, month] += cost_pico

    def told(self, *, with_requests: bool) -> dict[str, Any]:
        """The body of `GET /sim/books`."""
        body = {
            **self.totals.told(),
            "by_model": _told(self.by_model),
            "by_workspace": _told(self.by_workspace),
            "by_key": _told(self.by_key),
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


def _of(sums: dict[str, Totals], name: str) -> Totals:
    totals = sums.get(name)
    if totals is None:
        totals = sums[name] = Totals()
    return totals


def _told(sums: dict[str, Totals]) -> dict[str, Any]:
    return {name: totals.told() for name, totals in sorted(sums.items())}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _tokens(usage: Usage) -> dict[str, int]:
    return {kind: getattr(usage, kind) for kind in _TOKENS}
