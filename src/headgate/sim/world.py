"""What every endpoint of the simulator shares: time, chance, limits, caches and books; and one visit to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any
from urllib.parse import parse_qs

from msgspec import DecodeError
from msgspec.json import decode

from headgate.clock import Clock, utc
from headgate.net.http import Headers
from headgate.net.server import Request
from headgate.sim.account.access import Caller
from headgate.sim.account.books import Books, Stats
from headgate.sim.account.cache import PromptCache
from headgate.sim.account.limits import RateLimits
from headgate.sim.endpoints.files import FileStore
from headgate.sim.endpoints.threads import ThreadStore
from headgate.sim.errors import invalid
from headgate.sim.ids import Ids
from headgate.sim.settings import SimSettings

__all__ = ["Visit", "World"]


class World:
    """The state of one simulated API.  All time comes from `clock`, all chance from `rng`."""

    def __init__(self, settings: SimSettings, clock: Clock, rng: Random) -> None:
        self.settings = settings
        self.clock = clock
        self.rng = rng
        self.seed = rng.randbytes(32)
        self.ids = Ids(rng)
        self.limits = RateLimits(settings.limits, clock.now_s)
        self.cache = PromptCache(settings.caching.entries)
        self.books = Books(settings.books.entries)
        self.stats = Stats()
        self.files = FileStore(settings.files)
        self.threads = ThreadStore(settings.threads)

    def today(self) -> date:
        return utc(self.clock.unix_ms()).date()

    def unix_s(self) -> float:
        return self.clock.unix_ms() / 1000

    def admit_request(self, visit: Visit, endpoint: str) -> Headers:
        """Take a request from the limiter of `count_tokens`, `batches` or `files`, and return its headers.

        Raises:
            Limited: 429.
        """
        limiter = self.limits.requests(visit.caller.organisation, endpoint)
        return limiter.admit(self.clock.now_s(), self.unix_s(), visit.caller.organisation)


@dataclass(slots=True)
class Visit:
    """One request on its way through.

    Attributes:
        began_s: monotonic; cache lifetimes count from here.
        booked: the books have an entry for it.
    """

    request: Request
    request_id: str
    caller: Caller
    began_s: float
    began_ms: int
    booked: bool = False

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
        """The body.

        Raises:
            ApiError: 400 if it is not JSON, or is encoded in a way that this server does not read (§1 leaves open which
                encodings the API takes).
        """
        if self.headers.get(b"content-encoding", b"identity") not in (b"identity", b""):
            raise invalid("Content-Encoding: not supported.", code="request_body_encoding_unsupported")
        try:
            return decode(self.request.body)
        except (DecodeError, UnicodeDecodeError, RecursionError):
            raise invalid("The request body is not valid JSON.") from None
