"""Rate limits: continuously refilled buckets per organisation and pool, their headers, their 429s (claude-api.md §8).

Amounts are requests and tokens, times monotonic seconds handed in.  Input is charged as an estimate at admission and
corrected when the answer begins; output is charged as it is emitted and may leave a debt; cache reads are free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil
from typing import NamedTuple

from headgate.net.http import Headers
from headgate.sim.dates import rfc3339_bytes
from headgate.sim.errors import ApiError
from headgate.sim.facts import FACTS, Model, PoolLimits
from headgate.sim.settings import Limits

__all__ = ["Bucket", "Limited", "Pool", "RateLimits", "RequestLimiter"]

ROUNDING = 1e-6
"""A client that waits exactly as told must not be refused over the last bit of a float."""


class Bucket:
    """One limiter.  Holds `depth_s` seconds' worth of refill; the level may fall below zero."""

    __slots__ = ("at_s", "capacity", "level", "per_minute", "refill_per_s")

    def __init__(self, per_minute: int, depth_s: float, now_s: float) -> None:
        self.per_minute = per_minute
        self.refill_per_s = per_minute / 60
        # Never less than one: a limit of 10 RPM at a depth of one second must still let a request in.
        self.capacity = max(1.0, self.refill_per_s * depth_s)
        self.level = self.capacity
        self.at_s = now_s

    def missing(self, now_s: float) -> float:
        """What is missing from a full bucket."""
        self.level = min(self.capacity, self.level + max(0.0, now_s - self.at_s) * self.refill_per_s)
        self.at_s = now_s
        return self.capacity - self.level

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until `amount` can be taken, 0 for now.

        More than the bucket holds is let in when it is full, and leaves a debt; more than a minute's limit never fits,
        and is told to wait for a full bucket, as the API would say it (§8.1).
        """
        missing = self.missing(now_s)
        if amount > self.per_minute:
            return max(1.0, missing / self.refill_per_s)
        short = min(amount, self.capacity) - self.level
        return short / self.refill_per_s if short > ROUNDING else 0.0

    def take(self, amount: float, now_s: float) -> None:
        """Take `amount`; a negative one gives back."""
        self.missing(now_s)
        self.level = min(self.capacity, self.level - amount)

    def triple(self, now_s: float, unix_s: float, *, thousands: bool) -> tuple[int, int, float]:
        """Limit, remaining, and unix time of full refill, as the headers tell them (§8.4)."""
        missing = self.missing(now_s)
        remaining = max(0.0, self.per_minute - missing)
        told = int((remaining + 500) // 1000 * 1000) if thousands else int(remaining + ROUNDING)
        return self.per_minute, min(told, self.per_minute), unix_s + missing / self.refill_per_s


class _Limiter(NamedTuple):
    """A bucket under the name that errors, books and headers give it."""

    name: str
    unit: str
    header: bytes
    bucket: Bucket


class RequestLimiter:
    """Requests per minute alone: token counting, batches, files."""

    def __init__(self, name: str, per_minute: int, depth_s: float, now_s: float) -> None:
        self._limiter = _Limiter(name, "requests", b"anthropic-ratelimit-requests", Bucket(per_minute, depth_s, now_s))

    def admit(self, now_s: float, unix_s: float, organisation: str) -> Headers:
        """Take one request and return the headers to answer with.

        Raises:
            Limited: 429 with `retry-after`.
        """
        bucket = self._limiter.bucket
        wait_s = bucket.wait_s(1, now_s)
        if wait_s > 0:
            headers = _triple_headers([self._limiter], now_s, unix_s)
            raise _limited(self._limiter, wait_s, headers, f"(org: {organisation})")
        bucket.take(1, now_s)
        return _triple_headers([self._limiter], now_s, unix_s)


class Limited(ApiError):
    """A 429 for an ordinary limit, with `retry-after` in whole seconds, rounded up.

    Attributes:
        limiter: the name that books and statistics count it under.
    """

    def __init__(self, limiter: str, message: str, wait_s: float, headers: Headers) -> None:
        super().__init__(429, message, headers=[*headers, (b"retry-after", b"%d" % max(1, ceil(wait_s)))])
        self.limiter = limiter


def _limited(limiter: _Limiter, wait_s: float, headers: Headers, whose: str) -> Limited:
    text = (
        f"This request would exceed your organization's rate limit of {limiter.bucket.per_minute:,} {limiter.unit} "
        f"per minute {whose}. Try again later, or ask for higher limits."
    )
    return Limited(limiter.name, text, wait_s, headers)


class Pool:
    """The limiters of one pool of models for one organisation: requests, and tokens in and out by speed.

    Fast mode has token limits and headers of its own; its requests count with the others (§8.4).
    """

    def __init__(self, limits: PoolLimits, settings: Limits, now_s: float) -> None:
        fast = FACTS.fast_mode_limits.observed_example
        self._settings = settings

        def limiter(name: str, unit: str, header: bytes, per_minute: int) -> _Limiter:
            return _Limiter(name, unit, header, Bucket(per_minute, settings.depth_s, now_s))

        requests = limiter("requests", "requests", b"anthropic-ratelimit-requests", limits.rpm)
        self._by_speed = {
            False: (
                requests,
                limiter("input_tokens", "input tokens", b"anthropic-ratelimit-input-tokens", limits.itpm),
                limiter("output_tokens", "output tokens", b"anthropic-ratelimit-output-tokens", limits.otpm),
            ),
            True: (
                requests,
                limiter("fast_input_tokens", "fast input tokens", b"anthropic-fast-input-tokens",
                        fast.input_tokens_per_minute),
                limiter("fast_output_tokens", "fast output tokens", b"anthropic-fast-output-tokens",
                        fast.output_tokens_per_minute),
            ),
        }  # fmt: skip

    def admit(self, input_tokens: int, *, fast: bool, now_s: float, unix_s: float, whose: str) -> None:
        """Take one request and its estimated input, or nothing.

        Raises:
            Limited: 429 naming the first limiter that has no room.  Output has room as long as any is left (§8.1).
        """
        limiters = self._by_speed[fast]
        amounts = (1, input_tokens, 1)
        for limiter, amount in zip(limiters, amounts, strict=True):
            wait_s = limiter.bucket.wait_s(amount, now_s)
            if wait_s > 0:
                if self._settings.rejected_requests_count:
                    limiters[0].bucket.take(1, now_s)
                raise _limited(limiter, wait_s, self.headers(fast=fast, now_s=now_s, unix_s=unix_s), whose)
        limiters[0].bucket.take(1, now_s)
        limiters[1].bucket.take(input_tokens, now_s)

    def correct_input(self, surplus: int, *, fast: bool, now_s: float) -> None:
        """Give back what the estimate took too much; a negative `surplus` takes the rest."""
        self._by_speed[fast][1].bucket.take(-surplus, now_s)

    def emit(self, output_tokens: int, *, fast: bool, now_s: float) -> None:
        self._by_speed[fast][2].bucket.take(output_tokens, now_s)

    def headers(self, *, fast: bool, now_s: float, unix_s: float) -> Headers:
        """The header set of the mode; `-tokens-` is the sum of input and output (§8.4)."""
        limiters = self._by_speed[fast]
        headers = _triple_headers(limiters, now_s, unix_s)
        if not fast:
            into = limiters[1].bucket.triple(now_s, unix_s, thousands=True)
            out = limiters[2].bucket.triple(now_s, unix_s, thousands=True)
            both = (into[0] + out[0], into[1] + out[1], max(into[2], out[2]))
            headers += _headers(b"anthropic-ratelimit-tokens", both)
        return headers


class RateLimits:
    """All limiters of all organisations, made when they are first asked for."""

    def __init__(self, settings: Limits, now_s: Callable[[], float]) -> None:
        self._settings = settings
        self._now_s = now_s
        self._pools: dict[tuple[str, str], Pool] = {}
        self._request_limiters: dict[tuple[str, str], RequestLimiter] = {}
        tier = FACTS.tier(settings.tier)
        # A tier without published figures gets those of the lowest tier that has them.
        self.batch = tier.batch or next(row.batch for row in FACTS.usage_tiers if row.batch is not None)
        counting = tier.token_count or next(row.token_count for row in FACTS.usage_tiers if row.token_count is not None)
        self._rpm = {
            "count_tokens": counting.rpm,
            "batches": self.batch.rpm,
            "files": FACTS.other_limits.files_api_rpm_approx,
        }

    def pool(self, organisation: str, model: Model) -> Pool:
        """The pool that a model draws from."""
        name = str(model.rate_limit_pool)
        pool = self._pools.get((organisation, name))
        if pool is None:
            pool = Pool(self._settings.pool(name), self._settings, self._now_s())
            self._pools[organisation, name] = pool
        return pool

    def requests(self, organisation: str, name: str) -> RequestLimiter:
        """The limiter of an endpoint that counts only requests: `count_tokens`, `batches` or `files`."""
        limiter = self._request_limiters.get((organisation, name))
        if limiter is None:
            limiter = RequestLimiter(name, self._rpm[name], self._settings.depth_s, self._now_s())
            self._request_limiters[organisation, name] = limiter
        return limiter


def _triple_headers(limiters: Iterable[_Limiter], now_s: float, unix_s: float) -> Headers:
    headers: Headers = []
    for limiter in limiters:
        thousands = limiter.unit != "requests"
        headers += _headers(limiter.header, limiter.bucket.triple(now_s, unix_s, thousands=thousands))
    return headers


def _headers(name: bytes, triple: tuple[int, int, float]) -> Headers:
    limit, remaining, reset_unix_s = triple
    return [
        (name + b"-limit", b"%d" % limit),
        (name + b"-remaining", b"%d" % remaining),
        (name + b"-reset", rfc3339_bytes(reset_unix_s)),
    ]
