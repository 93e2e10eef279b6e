"""One way to send a pool's calls: an API key's permits for it, and what is learned of the limits behind them.

Pure: all times are seconds of one monotonic clock, chance is handed in.  The gate asks `wait_s`, then `take`s; the
caller sends, and tells of it by `learn` (what the headers said), `outcome` (how the attempt went), `adjust` (it is
larger than was reserved) and `settle` (it is over).  Nothing is refused here: a backend only says how long to wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from random import Random
from typing import Literal, Protocol

from headgate.core.depth import STEP, Depth
from headgate.core.limiter import Limiter
from headgate.core.limits import Limit
from headgate.core.rate_headers import LIMITERS, Reading

__all__ = ["Backend", "Holder", "Outcome"]

Outcome = Literal["ok", "failing", "overloaded", "limited", "ramp", "neutral"]

REQUESTS, INPUT, OUTPUT = range(3)
LEAST_FREEZE_S = 1.0
"""After a 429, also one that does not say how long; then half as much again by chance, so that processes that share an
account do not come back together."""
PATIENCE_S = (2.0, 6.0, 20.0)
"""Over how long the use of others is measured: requests are counted exactly, input is an estimate until the answer
begins, and output only comes while it is written."""
CERTAIN = 0.9
"""A 429 with less missing than this share of what is proven is not about depth."""
SLOWER = 0.85
LEAST_PACE = 0.05
FASTER_PER_S = 1 / 600
"""A 429 that nothing explains slows by the first; it takes ninety seconds to forget one."""
SETTLED_AFTER_S = 5.0
"""After a 429 headers prove no depth for so long: the API may count what it refused."""


class Holder(Protocol):
    """What a backend knows of a ticket (core/fair_queue.py)."""

    needs: tuple[float, float, float]
    probe: bool


class Breaker(Protocol):
    def wait_s(self, now_s: float) -> float: ...
    def take(self, now_s: float) -> bool: ...
    def ended(self, kind: Outcome, probe: bool, now_s: float, retry_after_s: float | None) -> None: ...


class Concurrency(Protocol):
    def has_room(self, under_way: int) -> bool: ...
    def ended(self, kind: Outcome, under_way: int, now_s: float) -> None: ...


class Ramp(Protocol):
    def wait_s(self, input_tokens: float, now_s: float) -> float: ...
    def take(self, input_tokens: float, now_s: float) -> None: ...
    def hit(self, now_s: float, retry_after_s: float | None) -> None: ...


class Backend:
    """Mutable; whoever takes permits settles them exactly once."""

    def __init__(
        self,
        name: str,
        limits: Sequence[Limit],
        *,
        breaker: Breaker,
        concurrency: Concurrency,
        ramp: Ramp,
        rng: Random,
        now_s: float,
        first_burst_s: float = 1.0,
        burst_s: float = 60.0,
        longest_freeze_s: float = 3600.0,
    ) -> None:
        """`limits` in the order of `LIMITERS`.

        Args:
            first_burst_s: seconds of refill that may go at once before anything is learned.
            burst_s: the most that is ever tried.
            longest_freeze_s: nothing is held back for longer, whatever the API asks.
        """
        self.name = name
        self.breaker = breaker
        self.concurrency = concurrency
        self.ramp = ramp
        self.depth = Depth(first_burst_s, burst_s)
        self.frozen_until_s = -inf
        self.frozen_by = ""
        self.limiters = [
            Limiter(limiter, limit, now_s, patience_s=patience)
            for limiter, limit, patience in zip(LIMITERS, limits, PATIENCE_S, strict=True)
        ]
        self._rng = rng
        self._longest_freeze_s = longest_freeze_s
        self._held: dict[Holder, _Hold] = {}
        self._refused_s = -inf
        self._pace_at_s = now_s
        self._widen()

    @property
    def limits(self) -> list[Limit]:
        return [limiter.limit for limiter in self.limiters]

    @property
    def under_way(self) -> int:
        return len(self._held)

    # -- room -------------------------------------------------------------------------------------------------------

    def wait_s(self, needs: Sequence[float], now_s: float, *, headroom: float = 0.0) -> float:
        """Seconds until permits for `needs` are there; 0 if they are, `inf` if only an event helps.

        More than a bucket holds goes when the bucket is full, and leaves a debt.

        Args:
            headroom: the share of every bucket that is kept for others.
        """
        if not self.concurrency.has_room(len(self._held)):
            return inf
        longest = self.frozen_until_s - now_s
        wait = self.breaker.wait_s(now_s)
        if wait > longest:
            longest = wait
        wait = self.ramp.wait_s(needs[INPUT], now_s)
        if wait > longest:
            longest = wait
        for limiter, need in zip(self.limiters, needs, strict=True):
            room = limiter.room
            step = limiter.step
            if headroom and not step:
                room *= 1.0 - headroom
            # The step into the unknown is one call, or a twentieth where that is more.
            if need < room:
                room -= need
                if step:
                    room += step if step > need else need
            elif not step:
                room = 0.0
            short = limiter.missing - (now_s - limiter.at_s) * limiter.refill_per_s - room
            # Rounding: a millionth of a permit is not worth a timer that fires again and again.
            if short > 1e-6:
                wait = short / limiter.refill_per_s
                if wait > longest:
                    longest = wait
        if longest <= 0.0:
            # The API lets a call in while any output is left; what calls under way still write is told as they go on.
            limiter = self.limiters[OUTPUT]
            if limiter.told is not None:
                short = limiter.owed_at(now_s) + 1.0 - limiter.room - limiter.step
                if short > 1e-6:
                    return short / limiter.refill_per_s
            return 0.0
        return longest

    def blocked_s(self, now_s: float) -> float:
        """Seconds for which nothing goes, however small: frozen, or the breaker is open."""
        return max(0.0, self.frozen_until_s - now_s, self.breaker.wait_s(now_s))

    def free(self, now_s: float) -> tuple[float, float, float]:
        """Permits that are there now; negative is a debt."""
        requests, inputs, outputs = [limiter.room - limiter.missing_at(now_s) for limiter in self.limiters]
        return requests, inputs, outputs

    @property
    def capacity(self) -> tuple[float, float, float]:
        """The most permits that can be there at once, as far as is known."""
        requests, inputs, outputs = [limiter.room for limiter in self.limiters]
        return requests, inputs, outputs

    @property
    def refill_per_s(self) -> tuple[float, float, float]:
        """Of what is really left for us: others' use is taken off."""
        requests, inputs, outputs = self.limiters
        return requests.refill_per_s, inputs.refill_per_s, outputs.refill_per_s

    def take(self, ticket: Holder, now_s: float) -> None:
        """A granted ticket's permits leave the buckets."""
        needs = ticket.needs
        requests, inputs, outputs = self.limiters
        hold = _Hold(needs)
        if inputs.told is not None:
            least = inputs.least_missing(now_s)
            if least > 0.0:
                hold.input_before = least
            least = outputs.least_missing(now_s)
            if least > 0.0:
                hold.output_before = least
        self._held[ticket] = hold
        requests.take(needs[REQUESTS], now_s)
        inputs.take(needs[INPUT], now_s)
        outputs.take(needs[OUTPUT], now_s)
        inputs.note_need(needs[INPUT], now_s)
        ticket.probe = self.breaker.take(now_s)
        self.ramp.take(needs[INPUT], now_s)

    # -- settling ---------------------------------------------------------------------------------------------------

    def adjust(self, ticket: Holder, used_so_far: Sequence[float], now_s: float) -> None:
        """An attempt is under way and this much of it is known: its input as soon as that is said (0: not yet), and
        the output so far, which counts once it is more than was reserved."""
        hold = self._held.get(ticket)
        if hold is None:
            return
        if used_so_far[INPUT] > 0.0:
            self._charge(hold, INPUT, used_so_far[INPUT], now_s)
            self._prove(hold, now_s)
        if used_so_far[OUTPUT] > hold.charged[OUTPUT]:
            self._charge(hold, OUTPUT, used_so_far[OUTPUT], now_s)

    def settle(self, ticket: Holder, used: Sequence[float], now_s: float) -> None:
        """The attempt is over: what it did not use goes back, what it used beyond its estimate is taken.

        Args:
            used: requests (0 if it was never sent), input and output.
        """
        hold = self._held.pop(ticket, None)
        if hold is None:
            return
        for index in (REQUESTS, INPUT, OUTPUT):
            self._charge(hold, index, used[index], now_s)
        if used[INPUT] > 0.0:
            self._prove(hold, now_s)

    def _charge(self, hold: _Hold, index: int, total: float, now_s: float) -> None:
        more = total - hold.charged[index]
        if more:
            self.limiters[index].take(more, now_s)
            hold.charged[index] = total

    # -- learning ---------------------------------------------------------------------------------------------------

    def learn(self, readings: Sequence[Reading], now_s: float) -> None:
        """Take what the headers of a response said.  Nonsense was already dropped."""
        changed = self.depth.look(now_s)
        for limiter, reading in zip(self.limiters, readings, strict=True):
            if limiter.hear(reading, now_s):
                changed = True
        if now_s - self._refused_s > SETTLED_AFTER_S and self._prove_by_headers(now_s):
            changed = True
        if changed:
            self._widen()
        if self.limiters[REQUESTS].pace < 1.0:
            self._recover(now_s)

    def outcome(self, kind: Outcome, ticket: Holder, now_s: float, retry_after_s: float | None = None) -> None:
        """How an attempt went, as far as others are concerned; after `learn`.

        `limited` is a 429 for a limit, `ramp` one for growth, `overloaded` a 529, `failing` the API's own fault,
        `neutral` says nothing about the API.
        """
        if kind == "limited":
            self._limited(ticket, now_s)
            least_s = LEAST_FREEZE_S
            if retry_after_s is None:
                least_s *= 1.0 + self._rng.random() / 2
            self._freeze(max(retry_after_s or 0.0, least_s), kind, now_s)
        elif kind == "ramp":
            self.ramp.hit(now_s, retry_after_s)
            self._freeze(max(retry_after_s or 0.0, LEAST_FREEZE_S), kind, now_s)
        elif kind == "overloaded" and retry_after_s is not None:
            self._freeze(retry_after_s, kind, now_s)
        self.breaker.ended(kind, ticket.probe, now_s, retry_after_s)
        self.concurrency.ended(kind, len(self._held), now_s)

    def _freeze(self, seconds: float, why: str, now_s: float) -> None:
        """Nothing goes for so long: the API asked for it."""
        until_s = now_s + min(seconds, self._longest_freeze_s)
        if until_s > self.frozen_until_s:
            self.frozen_until_s = until_s
            self.frozen_by = why

    def _limited(self, ticket: Holder, now_s: float) -> None:
        """A 429 came though we saw room: the buckets are shallower than we thought, or somebody else was there, or the
        headers do not tell all."""
        hold = self._held.get(ticket)
        self._refused_s = now_s
        deepest_s = 0.0
        edge_s = self.depth.proven_s * CERTAIN
        for index, limiter in enumerate(self.limiters):
            need = (hold.charged[index] if hold is not None else 0.0) if index != OUTPUT else 1.0
            told = limiter.told
            if told is not None and told.missing is not None and limiter.told_at_s == now_s:
                missing = told.missing + told.slack
            else:
                # It holds no permits upstream, but its own are still counted here.
                missing = max(0.0, limiter.missing_at(now_s) - (need if hold is not None else 0.0))
            per_s = limiter.limit.per_minute / 60
            if missing + min(need, edge_s * per_s) >= edge_s * per_s:
                deepest_s = max(deepest_s, (missing + need) / per_s)
        grain_s = 0.0
        if hold is not None:
            grain_s = max(hold.charged[index] * 60 / self.limiters[index].limit.per_minute for index in (0, 1))
        if deepest_s and self.depth.refuse(deepest_s, now_s, grain_s=grain_s):
            self._widen()
            return
        self._recover(now_s)
        for limiter in self.limiters:
            limiter.slow(max(LEAST_PACE, limiter.pace * SLOWER), now_s)

    def _recover(self, now_s: float) -> None:
        pace = self.limiters[REQUESTS].pace
        if pace < 1.0 and now_s - self._pace_at_s >= 1.0:
            pace = min(1.0, pace + (now_s - self._pace_at_s) * FASTER_PER_S)
            for limiter in self.limiters:
                limiter.slow(pace, now_s)
        if now_s - self._pace_at_s >= 1.0 or pace >= 1.0:
            self._pace_at_s = now_s

    def _prove_by_headers(self, now_s: float) -> bool:
        """More is missing than any single call could have left as a debt: so it was let in, and the bucket holds it."""
        requests, inputs, _ = self.limiters
        deepest_s = 0.0
        told = requests.told
        if told is not None and told.missing is not None and requests.told_at_s == now_s:
            deepest_s = (told.missing - told.slack) * 60 / requests.limit.per_minute
        told = inputs.told
        if told is not None and told.missing is not None and inputs.told_at_s == now_s:
            least = told.missing - told.slack
            largest = inputs.largest - (now_s - inputs.largest_at_s) * inputs.refill_per_s
            if least > largest * 1.1:
                deepest_s = max(deepest_s, least * 60 / inputs.limit.per_minute)
        return self.depth.prove(deepest_s)

    def _prove(self, hold: _Hold, now_s: float) -> None:
        """A call was let in with so much missing, as headers had told before, and this is what it truly needed."""
        _, inputs, outputs = self.limiters
        deepest_s = 0.0
        if hold.input_before > 0.0:
            deepest_s = (hold.input_before + hold.charged[INPUT]) * 60 / inputs.limit.per_minute
        if hold.output_before > 0.0:
            deepest_s = max(deepest_s, (hold.output_before + 1.0) * 60 / outputs.limit.per_minute)
        hold.input_before = hold.output_before = 0.0
        if deepest_s and self.depth.prove(deepest_s):
            self._widen()

    def _widen(self) -> None:
        """Give every limiter the room that the depth allows."""
        allowed_s, exploring = self.depth.allowed_s, self.depth.exploring
        for limiter in self.limiters:
            per_s = limiter.limit.per_minute / 60
            limiter.room = max(1.0, per_s * allowed_s)
            limiter.step = limiter.room * STEP if exploring else 0.0

    # -- looking ----------------------------------------------------------------------------------------------------

    def levels(self, now_s: float) -> Iterator[tuple[str, Limit, float, float]]:
        """For each limiter: its name, its limit, permits free now, permits held."""
        for index, limiter in enumerate(self.limiters):
            held = sum([hold.charged[index] for hold in self._held.values()])
            yield limiter.name, limiter.limit, limiter.room - limiter.missing_at(now_s), held


class _Hold:
    """What a ticket holds, and what headers had told to be missing when it went."""

    __slots__ = ("charged", "input_before", "output_before")

    def __init__(self, needs: Sequence[float]) -> None:
        self.charged = list(needs)
        self.input_before = 0.0
        self.output_before = 0.0
