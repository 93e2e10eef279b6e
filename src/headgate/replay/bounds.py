"""How soon a workload can be done at all under token buckets, and how soon two simple orders do it.

The fluid bound: a bucket of capacity B refilled at r a second lets at most B + r (t - s) through in any (s, t], and
work that arrives at or after a cannot pass before a; so nobody is done before max over a of a + max(0, W(a) - B) / r,
W(a) being the work that arrives at or after a.  The latest of the three buckets decides.  With a prompt cache the work
is what even an ideal one, endless and of any block, must be asked to read once.

The two orders know every cost beforehand, charge it whole at admission, and let a call that is larger than a bucket
through when the bucket is full, which leaves it overdrawn.  So that the bound is one for that reading too, it takes the
bucket to be as large as the largest call where that is more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from headgate.replay.workload import Ask

__all__ = ["Levels", "Reference", "fifo", "fluid_bound_s", "forced_input", "prefix_order"]

TTL_S = 300.0
POPULAR = 64
"""A part that more calls share than this says nothing about which of them belong together."""
ROUNDING_S = 1e-9


class Rates(NamedTuple):
    """Requests, input tokens and output tokens a minute."""

    rpm: float
    itpm: float
    otpm: float


class Reference(NamedTuple):
    """What an order of admission reaches."""

    makespan_s: float
    mean_wait_s: float
    cached_share: float


class Levels:
    """Three buckets whose limits and depth are known."""

    def __init__(self, per_minute: Sequence[float], depth_s: float) -> None:
        self.rates = [limit / 60 for limit in per_minute]
        self.caps = [max(1.0, rate * depth_s) for rate in self.rates]
        self._level = list(self.caps)
        self._at_s = 0.0

    def wait_s(self, needs: Sequence[float], now_s: float) -> float:
        """Seconds until `needs` are there, or until the bucket is full if it never holds so much."""
        levels = self._levels(now_s)
        return max(
            0.0,
            *(
                (min(need, cap) - level) / rate
                for need, cap, level, rate in zip(needs, self.caps, levels, self.rates, strict=True)
            ),
        )

    def take(self, needs: Sequence[float], now_s: float) -> None:
        """Take `needs` (negative: give back), whether they are there or not."""
        self._level = [
            min(cap, level - need) for level, need, cap in zip(self._levels(now_s), needs, self.caps, strict=True)
        ]
        self._at_s = max(self._at_s, now_s)

    def _levels(self, now_s: float) -> list[float]:
        passed_s = max(0.0, now_s - self._at_s)
        return [
            min(cap, level + passed_s * rate)
            for level, cap, rate in zip(self._level, self.caps, self.rates, strict=True)
        ]


def forced_input(asks: Sequence[Ask]) -> list[int]:
    """Input tokens that must be paid for however good the cache is: of parts that no earlier call had."""
    seen: set[int] = set()
    forced = []
    for ask in asks:
        forced.append(sum(part.tokens for part in ask.prompt.parts if part.id not in seen))
        seen.update(part.id for part in ask.prompt.parts)
    return forced


def fluid_bound_s(asks: Sequence[Ask], per_minute: Sequence[float], depth_s: float, *, cached: bool = False) -> float:
    """The earliest possible time of the last admission.

    Args:
        per_minute: requests, input tokens, output tokens.
        cached: input is what an ideal cache does not have.
    """
    if not asks:
        return 0.0
    levels = Levels(per_minute, depth_s)
    inputs = forced_input(asks) if cached else [ask.input_tokens for ask in asks]
    work = ([1] * len(asks), inputs, [ask.output_tokens for ask in asks])
    largest = (1, max(ask.input_tokens for ask in asks), max(ask.output_tokens for ask in asks))
    bound_s = 0.0
    for amounts, rate, cap, most in zip(work, levels.rates, levels.caps, largest, strict=True):
        left = 0.0
        for ask, amount in zip(reversed(asks), reversed(amounts), strict=True):
            left += amount
            bound_s = max(bound_s, ask.at_s + max(0.0, left - max(cap, most)) / rate)
    return bound_s


def fifo(asks: Sequence[Ask], per_minute: Sequence[float], depth_s: float, *, cached: bool = False) -> Reference:
    """Strictly in the order of arrival; with a cache of five minutes for every part, if `cached`."""
    return _admit(asks, per_minute, depth_s, cached, lambda order: _oldest(asks, order))


def prefix_order(asks: Sequence[Ask], per_minute: Sequence[float], depth_s: float) -> Reference:
    """After each call the one, of those that wait, with which it shares the furthest part that is not popular; else the
    oldest.  With a cache of five minutes for every part."""
    uses: dict[int, int] = {}
    for ask in asks:
        for part in ask.prompt.parts:
            uses[part.id] = uses.get(part.id, 0) + 1
    waiting: dict[int, list[int]] = {}
    come = 0

    def choose(order: _Order) -> int:
        nonlocal come
        first = _oldest(asks, order)
        now_s = max(order.now_s, asks[first].at_s) if come <= first else order.now_s
        while come < len(asks) and asks[come].at_s <= now_s:
            for part in asks[come].prompt.parts:
                if 1 < uses[part.id] <= POPULAR:
                    waiting.setdefault(part.id, []).append(come)
            come += 1
        for part in reversed(order.last.prompt.parts if order.last is not None else ()):
            queue = waiting.get(part.id)
            if queue:
                queue[:] = [number for number in queue if not order.done[number]]
                if queue:
                    return queue[0]
        return first

    return _admit(asks, per_minute, depth_s, True, choose)


class _Order:
    """What an order of admission has come to."""

    def __init__(self, calls: int) -> None:
        self.done = [False] * calls
        self.first = 0
        self.now_s = 0.0
        self.last: Ask | None = None


def _oldest(asks: Sequence[Ask], order: _Order) -> int:
    while order.done[order.first]:
        order.first += 1
    return order.first


def _admit(
    asks: Sequence[Ask],
    per_minute: Sequence[float],
    depth_s: float,
    cached: bool,
    choose: Callable[[_Order], int],
) -> Reference:
    levels = Levels(per_minute, depth_s)
    alive: dict[int, float] = {}
    order = _Order(len(asks))
    waited_s = read = prompts = 0.0
    for _ in asks:
        number = choose(order)
        ask = asks[number]
        order.done[number] = True
        begin_s = max(ask.at_s, order.now_s)
        wait_s, fresh = 0.0, ask.input_tokens
        while True:  # the wait may let parts expire, which raises the cost
            if cached:
                fresh = ask.input_tokens - _served(ask, alive, begin_s + wait_s)
            needs = (1, fresh, ask.output_tokens)
            longer_s = levels.wait_s(needs, begin_s)
            if longer_s <= wait_s + ROUNDING_S:
                break
            wait_s = longer_s
        order.now_s = begin_s + wait_s
        levels.take(needs, order.now_s)
        if cached:
            alive.update((part.id, order.now_s) for part in ask.prompt.parts)
        order.last = ask
        waited_s += order.now_s - ask.at_s
        read += ask.input_tokens - fresh
        prompts += ask.input_tokens
    return Reference(order.now_s, waited_s / max(1, len(asks)), read / max(1.0, prompts))


def _served(ask: Ask, alive: dict[int, float], now_s: float) -> int:
    """Tokens of the beginning that is alive."""
    tokens = 0
    for part in ask.prompt.parts:
        if now_s - alive.get(part.id, float("-inf")) > TTL_S:
            break
        tokens += part.tokens
    return tokens
