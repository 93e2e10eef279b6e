"""Rate limits: the limiters of every organisation, workspace and pool, their headers, their 429s (claude-api.md §8).

Amounts are requests and tokens, times monotonic seconds handed in.  Input is charged as an estimate at admission and
corrected when the answer begins; output is charged as it is emitted and may leave a debt; cache reads are free, but for
a workspace limit of the plain kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import NamedTuple

from headgate.net.http import Headers
from headgate.sim.account.bucket import Bucket
from headgate.sim.account.limiter_types import LIMITER_TYPES, Measure
from headgate.sim.account.ramp import Ramp
from headgate.sim.account.workspaces import WorkspaceLimits, organisation_limits
from headgate.sim.dates import rfc3339_bytes
from headgate.sim.errors import ApiError
from headgate.sim.facts import FACTS, Model, PoolLimits
from headgate.sim.settings import Limits
from headgate.sim.weather import Weather

__all__ = ["Limited", "Pool", "RateLimits", "RequestLimiter"]


Triple = tuple[int, int, float]
"""Limit, remaining, and unix time of full refill."""
HeaderNames = tuple[bytes, bytes, bytes]
"""What they are called in an answer."""


def _named(name: str) -> HeaderNames:
    return f"{name}-limit".encode(), f"{name}-remaining".encode(), f"{name}-reset".encode()


_REQUESTS = _named("anthropic-ratelimit-requests")
_TOKENS = _named("anthropic-ratelimit-tokens")
_UNNAMED = (b"", b"", b"")


class Limiter(NamedTuple):
    """A bucket under the name that errors, books and headers give it, and what it measures.

    `header` is `_UNNAMED` for a limit of a workspace, which has no headers of its own.
    """

    name: str
    unit: str
    header: HeaderNames
    measure: Measure
    bucket: Bucket


class Limited(ApiError):
    """A 429 for an ordinary limit or a ramp limit, with `retry-after` in whole seconds, rounded up.

    Attributes:
        limiter: the name that books and statistics count it under.
    """

    def __init__(self, limiter: str, message: str, wait_s: float, headers: Headers, *, code: str | None = None) -> None:
        headers = [*headers, (b"retry-after", b"%d" % max(1, ceil(wait_s)))]
        super().__init__(429, message, headers=headers, code=code)
        self.limiter = limiter


def _limited(limiter: Limiter, wait_s: float, headers: Headers, whose: str) -> Limited:
    owner = "workspace's" if limiter.header is _UNNAMED else "organization's"
    period = "minute" if limiter.bucket.period_s == 60 else "day"
    text = (
        f"This request would exceed your {owner} rate limit of {limiter.bucket.limit:,} {limiter.unit} "
        f"per {period} {whose}. Try again later, or ask for higher limits."
    )
    return Limited(limiter.name, text, wait_s, headers)


class RequestLimiter:
    """Requests per minute alone: token counting, batches, files."""

    def __init__(
        self, name: str, per_minute: int, depth_s: float, now_s: float, whole: RequestLimiter | None = None
    ) -> None:
        """`whole` is the organisation's, of which this is a workspace's."""
        self.per_minute = per_minute
        header = _REQUESTS if whole is None else _UNNAMED
        own = Limiter(name, "requests", header, Measure.REQUESTS, Bucket(per_minute, depth_s, now_s))
        self._limiters: list[Limiter] = [*(whole._limiters if whole is not None else ()), own]

    def admit(self, now_s: float, unix_s: float, organisation: str) -> Headers:
        """Take one request and return the headers to answer with.

        Raises:
            Limited: 429 with `retry-after`.
        """
        for limiter in self._limiters:
            wait_s = limiter.bucket.wait_s(1, now_s)
            if wait_s > 0:
                headers = self._headers(now_s, unix_s)
                raise _limited(limiter, wait_s, headers, f"(org: {organisation})")
        for limiter in self._limiters:
            limiter.bucket.take(1, now_s)
        return self._headers(now_s, unix_s)

    def _headers(self, now_s: float, unix_s: float) -> Headers:
        first = self._limiters[0]
        return _lines(first.header, _triple(first, now_s, unix_s))


class Pool:
    """All limiters that a request for one pool of models must pass: the organisation's and, where it has any, its
    workspace's.  Requests of all workspaces share the organisation's.

    Fast mode has token limits and headers of its own; its requests count with the others (§8.4).
    """

    def __init__(
        self, standard: Sequence[Limiter], fast: Sequence[Limiter], ramp: Ramp | None, settings: Limits
    ) -> None:
        self.standard = standard
        self.fast = fast
        self.ramp = ramp
        self._settings = settings

    def admit(
        self, input_tokens: int, read_tokens: int = 0, *, fast: bool, now_s: float, unix_s: float, whose: str
    ) -> None:
        """Take one request and its estimated input, or nothing.

        Args:
            input_tokens: the estimate of what counts.
            read_tokens: what comes from the cache; it counts with plain limiters only, which take it as it is.

        Raises:
            Limited: 429 naming the limiter that needs the longest wait, so that its `retry-after` is enough for all.
                Output has room as long as any is left (§8.1).
        """
        limiters = self.fast if fast else self.standard
        amounts = (1, input_tokens, input_tokens + self._uncounted(read_tokens), 1, input_tokens)
        short, longest_s = None, 0.0
        for limiter in limiters:
            wait_s = limiter.bucket.wait_s(amounts[limiter.measure], now_s)
            if wait_s > longest_s:
                short, longest_s = limiter, wait_s
        if short is not None:
            self._count_refused(limiters, now_s)
            raise _limited(short, longest_s, self.headers(fast=fast, now_s=now_s, unix_s=unix_s), whose)
        if self.ramp is not None:
            wait_s = self.ramp.wait_s(input_tokens, now_s)
            if wait_s > 0:
                self._count_refused(limiters, now_s)
                text = f"This request would exceed the rate at which your organization's usage may grow {whose}."
                headers = self.headers(fast=fast, now_s=now_s, unix_s=unix_s)
                raise Limited("ramp", text, wait_s, headers, code="ramp_limit_exceeded")
            self.ramp.take(input_tokens, now_s)
        for limiter in limiters:
            if limiter.measure is not Measure.OUTPUT:
                limiter.bucket.take(amounts[limiter.measure], now_s)

    def _uncounted(self, read_tokens: int) -> int:
        """What a plain limiter counts beyond the estimate."""
        return 0 if self._settings.estimate_counts_cache_reads else read_tokens

    def _count_refused(self, limiters: Sequence[Limiter], now_s: float) -> None:
        if self._settings.rejected_requests_count:
            limiters[0].bucket.take(1, now_s)

    def correct_input(self, surplus: int, read_tokens: int = 0, *, fast: bool, now_s: float) -> None:
        """Give back what the estimate took too much; a negative `surplus` takes the rest."""
        plain_surplus = surplus - (read_tokens - self._uncounted(read_tokens))
        amounts = (0, surplus, plain_surplus, 0, surplus)
        for limiter in self.fast if fast else self.standard:
            if amounts[limiter.measure]:
                limiter.bucket.take(-amounts[limiter.measure], now_s)

    def emit(self, output_tokens: int, *, fast: bool, now_s: float) -> None:
        for limiter in self.fast if fast else self.standard:
            if limiter.measure >= Measure.OUTPUT:
                limiter.bucket.take(output_tokens, now_s)

    def headers(self, *, fast: bool, now_s: float, unix_s: float) -> Headers:
        """The header set of the mode (§8.4)."""
        limiters = self.fast if fast else self.standard
        triples = [_triple(limiter, now_s, unix_s) for limiter in limiters]
        headers = _headers(zip(limiters[:3], triples, strict=False))
        if not fast:
            headers += _lines(_TOKENS, _most_restrictive(triples[1:], limiters))
        return headers


def _most_restrictive(triples: Sequence[Triple], limiters: Sequence[Limiter]) -> Triple:
    """`-tokens-`: where a workspace has token limits the one, of all in force, with least left; else the sum of input
    and output."""
    if len(triples) == 2:
        into, out = triples
        return into[0] + out[0], into[1] + out[1], max(into[2], out[2])
    of_tokens = [
        triple for triple, limiter in zip(triples, limiters[1:], strict=True) if limiter.measure is not Measure.REQUESTS
    ]
    if len(of_tokens) == 2:
        return _most_restrictive(of_tokens, limiters)
    return min(of_tokens, key=lambda triple: (triple[1], triple[0]))


class RateLimits:
    """All limiters of all organisations, made when they are first asked for."""

    def __init__(
        self, settings: Limits, workspaces: WorkspaceLimits, weather: Weather, now_s: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._workspaces = workspaces
        self._weather = weather
        self._now_s = now_s
        self._pools: dict[tuple[str, str], Pool] = {}
        self._workspace_pools: dict[tuple[str, str, str], tuple[int, Pool]] = {}
        self._request_limiters: dict[tuple[str, str, str], RequestLimiter] = {}
        self.most_queued = organisation_limits(settings, "batch")["enqueued_batch_requests"]
        """Requests that may wait in all batches of an organisation together (§10)."""

    def pool(self, organisation: str, model: Model, workspace: str = "") -> Pool:
        """What a request of a workspace for a model must pass."""
        name = str(model.rate_limit_pool)
        pool = self._pools.get((organisation, name))
        if pool is None:
            pool = self._pools[organisation, name] = self._organisation_pool(name)
        if workspace and self._workspaces.any:
            return self._in_workspace(pool, organisation, workspace, name)
        return pool

    def _organisation_pool(self, name: str) -> Pool:
        settings, now_s = self._settings, self._now_s()
        limits: PoolLimits = settings.pool(name)
        fast = FACTS.fast_mode_limits.observed_example

        def limiter(name: str, header: str, measure: Measure, per_minute: int, field: int) -> Limiter:
            bucket = Bucket(per_minute, settings.depth_s, now_s, weather=self._weather, field=field)
            return Limiter(name, name.replace("_", " "), _named(header), measure, bucket)

        requests = limiter("requests", "anthropic-ratelimit-requests", Measure.REQUESTS, limits.rpm, 1)
        standard = (
            requests,
            limiter("input_tokens", "anthropic-ratelimit-input-tokens", Measure.COUNTED_INPUT, limits.itpm, 2),
            limiter("output_tokens", "anthropic-ratelimit-output-tokens", Measure.OUTPUT, limits.otpm, 3),
        )
        into, out = fast.input_tokens_per_minute, fast.output_tokens_per_minute
        quick = (
            requests,
            limiter("fast_input_tokens", "anthropic-fast-input-tokens", Measure.COUNTED_INPUT, into, 2),
            limiter("fast_output_tokens", "anthropic-fast-output-tokens", Measure.OUTPUT, out, 3),
        )
        growth = settings.ramp_growth
        ramp = None if growth is None else Ramp(growth, settings.ramp_floor_share * limits.itpm)
        return Pool(standard, quick, ramp, settings)

    def _in_workspace(self, pool: Pool, organisation: str, workspace: str, name: str) -> Pool:
        """`pool` with the limiters of a workspace after the organisation's; made anew when its overrides change."""
        overrides = self._workspaces.in_force(organisation, workspace, name, self._now_s())
        if not overrides.values:
            return pool
        version, made = self._workspace_pools.get((organisation, workspace, name), (None, None))
        if made is None or version != overrides.version:
            made = self._with_overrides(pool, overrides.values, made)
            self._workspace_pools[organisation, workspace, name] = overrides.version, made
        return made

    def _with_overrides(self, pool: Pool, values: dict[str, int], before: Pool | None) -> Pool:
        """A limiter whose value did not change keeps its bucket."""
        kept = (
            {}
            if before is None
            else {one.name: one for one in (*before.standard, *before.fast) if one.header is _UNNAMED}
        )
        more: dict[bool, list[Limiter]] = {False: [], True: []}
        for type_, value in values.items():
            kind = LIMITER_TYPES[type_]
            limiter = kept.get(f"workspace_{kind.name}")
            if limiter is None or limiter.bucket.limit != value:
                bucket = Bucket(value, self._settings.depth_s, self._now_s(), period_s=kind.period_s)
                limiter = Limiter(f"workspace_{kind.name}", kind.unit, _UNNAMED, kind.measure, bucket)
            for fast in kind.speeds:
                more[fast].append(limiter)
        return Pool((*pool.standard, *more[False]), (*pool.fast, *more[True]), pool.ramp, self._settings)

    def requests(self, organisation: str, endpoint: str, workspace: str = "") -> RequestLimiter:
        """The limiter of an endpoint that counts only requests: `count_tokens`, `batches` or `files`."""
        limiter = self._request_limiters.get((organisation, "", endpoint))
        if limiter is None:
            per_minute = organisation_limits(self._settings, _GROUPS[endpoint])["requests_per_minute"]
            limiter = RequestLimiter(endpoint, per_minute, self._settings.depth_s, self._now_s())
            self._request_limiters[organisation, "", endpoint] = limiter
        if workspace and self._workspaces.any:
            return self._requests_in_workspace(limiter, organisation, workspace, endpoint)
        return limiter

    def _requests_in_workspace(
        self, whole: RequestLimiter, organisation: str, workspace: str, endpoint: str
    ) -> RequestLimiter:
        now_s = self._now_s()
        values = self._workspaces.in_force(organisation, workspace, _GROUPS[endpoint], now_s).values
        per_minute = values.get("requests_per_minute")
        if per_minute is None:
            return whole
        limiter = self._request_limiters.get((organisation, workspace, endpoint))
        if limiter is None or limiter.per_minute != per_minute:
            limiter = RequestLimiter(f"workspace_{endpoint}", per_minute, self._settings.depth_s, now_s, whole)
            self._request_limiters[organisation, workspace, endpoint] = limiter
        return limiter


_GROUPS = {"count_tokens": "token_count", "batches": "batch", "files": "files"}
"""The rate-limit group of each endpoint that counts only requests."""


def _triple(limiter: Limiter, now_s: float, unix_s: float) -> Triple:
    return limiter.bucket.triple(now_s, unix_s, thousands=limiter.measure is not Measure.REQUESTS)


def _headers(told: Iterable[tuple[Limiter, Triple]]) -> Headers:
    headers: Headers = []
    for limiter, triple in told:
        headers += _lines(limiter.header, triple)
    return headers


def _lines(name: HeaderNames, triple: Triple) -> Headers:
    limit, remaining, reset_unix_s = triple
    return [(name[0], b"%d" % limit), (name[1], b"%d" % remaining), (name[2], rfc3339_bytes(reset_unix_s))]
