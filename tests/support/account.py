"""An account's three buckets as the API keeps them, and calls that go there through one backend: virtual time, no loop.

Who asks first goes first.  Input is charged at once, output as it is written, and headers tell what is missing,
rounded; all by the simulator's own buckets (claude-api.md §8.1, §8.4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import ceil, inf
from random import Random
from typing import Any, Literal

from headgate.core.backend import Backend
from headgate.core.limits import Limit
from headgate.core.rate_headers import Reading, read_rate_headers
from headgate.sim import SimSettings
from headgate.sim.account.bucket import Bucket
from headgate.sim.weather import Weather

__all__ = ["Account", "Ask", "Free", "Slot", "backend"]

NAMES = (b"requests", b"input-tokens", b"output-tokens")
Learned = tuple[Reading, Reading, Reading]


class Free:
    """A breaker, a concurrency limit and a ramp that hold nobody up."""

    taken = 0
    limit = inf
    half_open = False
    held_until_s = -inf

    def wait_s(self, *_: float) -> float:
        return 0.0

    def take(self, *_: float) -> bool:
        return False

    def ended(self, *_: Any, **__: Any) -> bool:
        return False

    def hit(self, *_: Any) -> None:
        pass

    def has_room(self, under_way: int) -> bool:
        return True


class Pushback(Free):
    """A breaker that holds after a 429 for as long as the API asks, as ours does, and never opens.

    Without that one refusal is a dozen: whoever is next is refused in the same instant, before anything is learned.
    """

    def wait_s(self, now_s: float) -> float:
        return max(0.0, self.held_until_s - now_s)

    def ended(self, kind: str, probe: bool, now_s: float, retry_after_s: float | None = None, **_: Any) -> bool:
        if kind == "limited" and retry_after_s is not None:
            self.held_until_s = max(self.held_until_s, now_s + retry_after_s)
        return False


def backend(
    rpm: float, itpm: float, otpm: float, *, ceilings: Sequence[float] = (inf, inf, inf), **options: Any
) -> Backend:
    free: Any = Free()
    limits = [
        Limit(min(figure, ceiling), "tier start", 0.0, ceiling=ceiling, upstream=figure)
        for figure, ceiling in zip((rpm, itpm, otpm), ceilings, strict=True)
    ]
    parts = {"breaker": Pushback(), "concurrency": free, "ramp": free} | options
    return Backend("key-1", limits, now_s=0.0, **parts)


@dataclass(eq=False)
class Slot:
    """A ticket, as a backend knows one."""

    needs: tuple[float, float, float]
    prompt_tokens: float = 0.0
    probe: bool = False


@dataclass(eq=False)
class Ask:
    """A call: when it is made, what it truly needs, what we think that it needs."""

    at_s: float
    input: int
    output: int
    expect_input: float
    expect_output: float
    sent_s: float = -1.0


@dataclass
class Account:
    """The API's side, and the clock."""

    limits: tuple[int, int, int] = (1_000, 450_000, 90_000)
    depth_s: float = 60.0
    first_byte_s: float = 1.0
    tokens_per_s: float = 70.0
    told: Literal["first byte", "end", "never"] = "first byte"
    """When headers arrive: with the first byte of a stream, or with a whole answer."""
    input_factor: float = 1.0
    """What the API charges at first, as a share of the truth."""
    transit_s: float = 0.0
    weather: dict[float, dict[str, Any]] = field(default_factory=dict)
    lie: Callable[[Learned], Learned] = lambda readings: readings
    seed: int = 1
    attempts: int = 0
    refused: list[float] = field(default_factory=list)
    """When."""
    sent: list[float] = field(default_factory=list)
    ended_s: float = 0.0

    def __post_init__(self) -> None:
        others = Weather(SimSettings().conditions(), self.weather, 0.0)
        self._weather = others
        self.buckets = [
            Bucket(limit, self.depth_s, 0.0, weather=others, field=index + 1) for index, limit in enumerate(self.limits)
        ]

    @property
    def used(self) -> float:
        return len(self.refused) / max(1, self.attempts)

    def refused_after(self, seconds: float) -> float:
        """The share of attempts after so many seconds that was refused."""
        return sum(at > seconds for at in self.refused) / max(1, sum(at > seconds for at in self.sent))

    def headers(self, now_s: float) -> dict[bytes, bytes]:
        found = {}
        for index, (name, bucket) in enumerate(zip(NAMES, self.buckets, strict=True)):
            limit, remaining, _ = bucket.triple(now_s, now_s, thousands=index > 0)
            found[b"anthropic-ratelimit-%s-limit" % name] = b"%d" % limit
            found[b"anthropic-ratelimit-%s-remaining" % name] = b"%d" % remaining
        return found

    def play(self, backend: Backend, asks: Iterable[Ask], *, until_s: float = 1e9) -> Account:
        """Send everything, first come first served."""
        events: list[tuple[float, int, Callable[[float], None]]] = []
        order = count()
        queue: deque[Ask] = deque()
        self._pump_at = -1.0

        def at(when_s: float, what: Callable[[float], None]) -> None:
            heappush(events, (when_s, next(order), what))

        def arrive(ask: Ask) -> Callable[[float], None]:
            return lambda now_s: queue.append(ask)

        def send(ask: Ask, now_s: float) -> None:
            slot = Slot((1.0, ask.expect_input, ask.expect_output))
            backend.take(slot, now_s)
            ask.sent_s = now_s
            self.attempts += 1
            self.sent.append(now_s)
            at(now_s + self.transit_s / 2, lambda when_s: reach(ask, slot, when_s))

        def reach(ask: Ask, slot: Slot, now_s: float) -> None:
            charged = ask.input * self.input_factor
            waits = [bucket.wait_s(amount, now_s) for bucket, amount in zip(self.buckets, (1, charged, 1), strict=True)]
            if max(waits) > 0:
                headers, after_s = self.headers(now_s), max(1.0, ceil(max(waits)))
                at(now_s + self.transit_s / 2, lambda when_s: refuse(ask, slot, headers, after_s, when_s))
                return
            self.buckets[0].take(1, now_s)
            self.buckets[1].take(charged, now_s)
            at(now_s + self.first_byte_s, lambda when_s: begin(ask, slot, when_s))

        def refuse(ask: Ask, slot: Slot, headers: dict[bytes, bytes], after_s: float, now_s: float) -> None:
            self.refused.append(now_s)
            if self.told != "never":
                backend.learn(self.lie(read_rate_headers(headers)), now_s)
            backend.outcome("limited", slot, now_s, after_s)
            backend.settle(slot, (1.0, 0.0, 0.0), now_s)
            queue.appendleft(ask)

        def begin(ask: Ask, slot: Slot, now_s: float) -> None:
            self.buckets[1].take(ask.input - ask.input * self.input_factor, now_s)
            if self.told == "first byte":
                backend.learn(self.lie(read_rate_headers(self.headers(now_s))), now_s)
                backend.outcome("ok", slot, now_s)
                backend.adjust(slot, (1.0, ask.input, 0.0), now_s)
            write(ask, slot, 0, now_s)

        def write(ask: Ask, slot: Slot, written: int, now_s: float) -> None:
            more = min(ask.output - written, max(1, round(self.tokens_per_s / 4)))
            self.buckets[2].take(more, now_s)
            written += more
            if written < ask.output:
                if written > ask.expect_output and self.told == "first byte":
                    backend.adjust(slot, (1.0, ask.input, written), now_s)
                at(now_s + 0.25, lambda when_s: write(ask, slot, written, when_s))
                return
            if self.told == "end":
                backend.learn(self.lie(read_rate_headers(self.headers(now_s))), now_s)
                backend.outcome("ok", slot, now_s)
            backend.settle(slot, (1.0, ask.input, ask.output), now_s)
            self.ended_s = now_s

        pump_at: list[float] = [-1.0]

        def pump(now_s: float) -> None:
            while queue:
                ask = queue[0]
                wait_s = backend.wait_s((1.0, ask.expect_input, ask.expect_output), now_s)
                if wait_s > 0:
                    when_s = now_s + wait_s
                    if not now_s < pump_at[0] <= when_s:
                        pump_at[0] = when_s
                        at(when_s, lambda when_s: None)
                    return
                queue.popleft()
                send(ask, now_s)

        for ask in asks:
            at(ask.at_s, arrive(ask))
        while events:
            now_s, _, what = heappop(events)
            if now_s > until_s:
                break
            self._weather.catch_up(now_s)
            what(now_s)
            if queue:
                pump(now_s)
        return self


def backlog(
    n: int, input_tokens: float, output_tokens: float, *, spread: float = 0.8, error: float = 0.2, seed: int = 1
) -> list[Ask]:
    """`n` calls at once, lognormal in size, expected with an error of so much (a standard deviation)."""
    rng = Random(seed)
    asks = []
    for _ in range(n):
        into = max(1, round(input_tokens * rng.lognormvariate(-spread * spread / 2, spread)))
        out = max(1, round(output_tokens * rng.lognormvariate(-spread * spread / 2, spread)))
        off = rng.lognormvariate(-error * error / 2, error)
        asks.append(Ask(0.0, into, out, into * off, output_tokens))
    return asks


def bound_s(asks: Sequence[Ask], account: Account) -> float:
    """No order of admission is done sooner (everything arrives at once)."""
    works = (len(asks), sum(ask.input for ask in asks), sum(ask.output for ask in asks))
    return max(
        (work - bucket.capacity) / bucket.refill_per_s for work, bucket in zip(works, account.buckets, strict=True)
    )
