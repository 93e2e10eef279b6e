"""What every endpoint of the simulator shares: time, chance, limits, caches and books; and one visit to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from headgate.clock import Clock, utc
from headgate.net.app import Request
from headgate.net.http import Headers
from headgate.sim.account.access import Caller
from headgate.sim.account.books import Books, Stats
from headgate.sim.account.cache import PromptCache
from headgate.sim.account.containers import Containers
from headgate.sim.account.diagnostics import CacheDiagnostics
from headgate.sim.account.limits import RateLimits
from headgate.sim.account.priority import Commitments
from headgate.sim.account.routes import StickyRoutes
from headgate.sim.account.spend import SpendLimits
from headgate.sim.account.workspaces import WorkspaceLimits
from headgate.sim.endpoints.files import FileStore
from headgate.sim.endpoints.threads import ThreadStore
from headgate.sim.event_log import EventLog
from headgate.sim.ids import Ids
from headgate.sim.misbehave import Misbehaviour
from headgate.sim.request.grammar import Grammars
from headgate.sim.request.parsing import parsed
from headgate.sim.settings import SimSettings
from headgate.sim.weather import Weather

if TYPE_CHECKING:
    from headgate.sim.scenario.director import Director

__all__ = ["Visit", "World"]


class World:
    """The state of one simulated API.  All time comes from `clock`, all chance from `rng`."""

    def __init__(self, settings: SimSettings, clock: Clock, rng: Random) -> None:
        self.settings = settings
        self.clock = clock
        self.rng = rng
        self.seed = rng.randbytes(32)
        self.ids = Ids(rng)
        self.weather = Weather(settings.conditions(), settings.weather.forecast, clock.now_s())
        self.workspaces = WorkspaceLimits(settings.access, settings.limits)
        self.limits = RateLimits(settings.limits, self.workspaces, self.weather, clock.now_s)
        self.cache = PromptCache(settings.caching.entries)
        self.diagnostics = CacheDiagnostics(settings.diagnostics)
        self.grammars = Grammars()
        self.commitments = Commitments(settings.priority, settings.limits.depth_s)
        self.containers = Containers(settings.books.reports_late_s)
        self.routes = StickyRoutes(settings.fallbacks)
        self.books = Books(settings.books, clock.unix_ms)
        self.spend = SpendLimits(settings.access.workspaces, self.weather, self.books)
        self.stats = Stats()
        self.files = FileStore(settings.files)
        self.threads = ThreadStore(settings.threads)
        self.events: EventLog | None = None
        self.under_way = 0
        """Answers that are being made."""

    def log_events(self, write: Callable[[bytes], object]) -> None:
        """From now on, hand `write` a JSON line for everything that happens here."""
        self.events = EventLog(write, self.clock)
        self.books.watcher = self.events.billed

    def today(self) -> date:
        return utc(self.clock.unix_ms()).date()

    def unix_s(self) -> float:
        return self.clock.unix_ms() / 1000

    def admit_request(self, visit: Visit, endpoint: str) -> Headers:
        """Take a request from the limiter of `count_tokens`, `batches` or `files`, and return its headers.

        Raises:
            Limited: 429.
        """
        limiter = self.limits.requests(visit.caller.organisation, endpoint, visit.caller.workspace)
        return limiter.admit(self.clock.now_s(), self.unix_s(), visit.caller.organisation)


@dataclass(slots=True)
class Visit:
    """One request on its way through.

    Attributes:
        began_s: monotonic; cache lifetimes count from here.
        director: of the scenario, if one is on.
        booked: the books have an entry for it.
        asked: the misbehaviour it asked for, once that was read, or None.
    """

    request: Request
    request_id: str
    caller: Caller
    began_s: float
    began_ms: int
    director: Director | None = None
    booked: bool = False
    asked: Misbehaviour | None = None

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The last value of each header, by lower-case name."""
        return self.request.by_name

    @property
    def betas(self) -> frozenset[str]:
        """All values of `anthropic-beta`, however often the header stands there (§1)."""
        told = b",".join(value for name, value in self.request.headers if name == b"anthropic-beta")
        return frozenset(item.strip() for item in told.decode("latin-1").split(",") if item.strip())

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.request.query)

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ApiError: 400, as `parsed`.
        """
        return parsed(self.request.body)
