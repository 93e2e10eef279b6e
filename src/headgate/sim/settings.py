"""Every choice the simulator leaves open, with its default explained.  Times in seconds, money in US dollars.

What `claude-api.md` states is not here: it is behaviour.  What it leaves open is a named setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from headgate.sim.facts import FACTS, PoolLimits

__all__ = [
    "Access",
    "Answers",
    "Batches",
    "BooksKept",
    "Caching",
    "Files",
    "Latency",
    "Limits",
    "SimSettings",
    "Threads",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Who may call, and whose limits, cache and threads a call uses."""

    accepted_keys: frozenset[str] = frozenset()
    """Empty takes any credential: a simulator is nobody's secret."""
    revoked_keys: frozenset[str] = frozenset()
    """Answered with 401, whatever else is accepted."""
    organisation_per_key: bool = False
    """False puts all keys into one organisation, as the keys of one account are (claude-api.md §8.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Rate limits and spend limits (claude-api.md §8)."""

    tier: str = "start"
    """A tier of the facts with published figures; the other two need `rpm`, `itpm` and `otpm`."""
    rpm: int | None = None
    itpm: int | None = None
    otpm: int | None = None
    """Each overrides its figure in every pool; None keeps the tier's."""
    pools: Mapping[str, PoolLimits] = field(default_factory=dict)
    """Overrides for single pools by name, stronger than the three above."""
    depth_s: float = 60.0
    """How many seconds' worth of refill a bucket holds.  Not published (§8.1): 60 lets a whole minute's worth go at
    once, 1 enforces 60 RPM as one a second."""
    input_estimate_factor: float = 1.0
    """A request's input is first charged at its true size times this, then corrected (§8.1).  How the API estimates is
    not known, so the default does not err."""
    estimate_counts_cache_reads: bool = False
    """Whether the first charge includes what the cache will give.  Not known; reads are free in the end (§8.1)."""
    rejected_requests_count: bool = False
    """Whether a 429 takes a request from the bucket.  Not stated (§8.1, §17.2)."""
    enforced_spend_cap_usd: Decimal | None = None
    """Dollars a calendar month (UTC) after which every request is a 429 without `retry-after` (§8.3); None is no cap.
    A tier's cap is not applied unasked, or a load test would end at $500."""
    self_set_spend_limit_usd: Decimal | None = None
    """As above for the limit a customer sets: a 400 (§8.3)."""

    def pool(self, name: str) -> PoolLimits:
        """The limits of one pool.

        Raises:
            ValueError: the tier has no published figures and not all of them are set here.
        """
        if name in self.pools:
            return self.pools[name]
        published = FACTS.tier(self.tier).pools
        known = published.get(name) if published else None
        rpm = self.rpm if self.rpm is not None or known is None else known.rpm
        itpm = self.itpm if self.itpm is not None or known is None else known.itpm
        otpm = self.otpm if self.otpm is not None or known is None else known.otpm
        if rpm is None or itpm is None or otpm is None:
            raise ValueError(f"tier {self.tier!r} has no published limits: set rpm, itpm and otpm")
        return PoolLimits(rpm, itpm, otpm)

    def check(self) -> None:
        """Raise ValueError for a combination that cannot be simulated."""
        if not 1 <= self.depth_s <= 60:
            raise ValueError(f"depth_s is {self.depth_s}, and must be from 1 to 60")
        for model in FACTS.models:
            if model.rate_limit_pool is not None:
                self.pool(model.rate_limit_pool)


@dataclass(frozen=True, kw_only=True, slots=True)
class Caching:
    """The prompt cache (claude-api.md §9)."""

    entries: int = 100_000
    """Most entries kept; beyond it the oldest go.  The API's own bound is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """How long an answer takes.  All zero answers at once, so that tests are fast."""

    ttft_s: float = 0.0
    """From the request to the first event, or to the start of generation."""
    tokens_per_s: float = 0.0
    """Speed of generation; 0 is at once.  A non-streamed answer takes the sum of both."""
    spread: float = 0.25
    """Both vary by up to this share either way, decided by the prompt and the seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What is said, and who pays for what nobody got."""

    median_tokens: int = 60
    spread: float = 0.6
    """Length of an answer: log-normal with this median and this sigma, decided by the prompt and the seed."""
    most_tokens: int = 2_000
    """Longest answer that is drawn; `[[sim: tokens=N]]` is not bound by it."""
    bill_unsent_answers: bool = False
    """Whether a non-streamed answer that never left whole is billed.  Not stated by the API (§7.5); nobody has seen
    its usage, so the default leaves it out and a meter that settles nothing agrees with these books."""
    tolerate_unknown_fields: bool = True
    """The API answers 400 to a field it does not know.  Its list grows by the month, and a simulator that is older
    than a client would refuse what the API takes; False makes it as strict as the sheet."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batches:
    """Message Batches (claude-api.md §10)."""

    processing_s: float = 1.0
    """From creation to the end of processing; items are done at an even pace.  Past 24 h the rest expires."""
    cancelling_s: float = 0.0
    """How long a batch stays `canceling`; items go on being done meanwhile."""
    kept: int = 1_000
    """Most batches held; beyond it the oldest that has ended goes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """The Files API, in memory."""

    quota_bytes: int = 256 * 1024 * 1024
    """All files together; beyond it a 400 with `storage_quota_exceeded`."""
    uploads_downloadable: bool = True
    """The API lets only files made by a tool be downloaded.  No tool here makes any, so uploads stand in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Threads:
    """Message threads, beta message-threads-2026-08-12 (claude-api.md §18)."""

    kept_turns: int = 10_000
    """Most turns held over all conversations; beyond it the oldest is forgotten, which a client sees as 404
    `thread_not_found`.  0 holds none, so every `continue` fails."""
    unsupported: frozenset[str] = frozenset({"cache_control", "context_management", "fallbacks"})
    """Top-level fields that cannot stand beside `thread`: those of the SDK's list that a request can carry, except
    `thinking`, which clients do send."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BooksKept:
    entries: int = 20_000
    """Most per-request entries kept; the totals know all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SimSettings:
    """Everything, by concept."""

    access: Access = field(default_factory=Access)
    limits: Limits = field(default_factory=Limits)
    caching: Caching = field(default_factory=Caching)
    latency: Latency = field(default_factory=Latency)
    answers: Answers = field(default_factory=Answers)
    batches: Batches = field(default_factory=Batches)
    files: Files = field(default_factory=Files)
    threads: Threads = field(default_factory=Threads)
    books: BooksKept = field(default_factory=BooksKept)

    def __post_init__(self) -> None:
        """Check what cannot be simulated.

        Raises:
            ValueError: naming the setting.
        """
        self.limits.check()
        if not 0 <= self.latency.spread < 1:
            raise ValueError(f"latency.spread is {self.latency.spread}, and must be from 0 to below 1")
