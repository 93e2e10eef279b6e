"""How evenly a pool was shared: Jain's index over tenants.

A tenant is backlogged while a call of it waits.  Whenever a call of a lane is admitted, every tenant that is backlogged
in that lane is due an equal part of what the call takes; the one whose call it was has received all of it.  What a call
takes is its dominant share: seconds of the limit that it takes most of.  The index is taken over received by due, of
tenants that were backlogged for a tenth at least of the time that anybody was: 1 is even, 1/n is all for one of n.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from headgate.replay.run import Outcome, Run

__all__ = ["jain_index", "jain_of"]

LEAST_SHARE = 0.1
"""Of the backlogged time; who waited less than that was hardly in the contest."""
WAITED_S = 1e-6
ARRIVED, LEFT = 0, 1


def jain_of(run: Run) -> float:
    """1 where nobody had to share: a single tenant, or no backlog."""
    lanes: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in run.outcomes:
        lanes.setdefault((str(outcome.ask.model.rate_limit_pool), outcome.ask.lane), []).append(outcome)
    return jain_index([share for (pool, _), of in lanes.items() for share in _shares(of, run.per_minute[pool])])


def jain_index(shares: Sequence[float]) -> float:
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _shares(outcomes: Iterable[Outcome], per_minute: Sequence[float]) -> list[float]:
    """Received by due of every tenant of one lane that counts."""
    events: list[tuple[float, int, int, str, float]] = []
    for outcome in outcomes:
        whose, number = outcome.ask.tenant, outcome.ask.number
        left_s = outcome.asked_s + outcome.waited_s
        if outcome.waited_s > WAITED_S:
            events.append((outcome.asked_s, ARRIVED, number, whose, 0.0))
            events.append((left_s, LEFT, number, whose, _dominant_s(outcome, per_minute)))
        elif outcome.answer is not None:
            events.append((left_s, LEFT, -1, whose, _dominant_s(outcome, per_minute)))
    events.sort()
    tenants: dict[str, _Tenant] = {}
    backlogged = 0
    due = anybody_s = last_s = 0.0
    for at_s, what, number, name, took_s in events:
        tenant = tenants.get(name)
        if tenant is None:
            tenant = tenants[name] = _Tenant()
        if backlogged:
            anybody_s += at_s - last_s
        last_s = at_s
        if what == ARRIVED:
            backlogged += not tenant.waiting
            tenant.arrived(at_s, due)
            continue
        if tenant.waiting:
            due += took_s / backlogged
            tenant.received += took_s
        if number >= 0:
            tenant.left(at_s, due)
            backlogged -= not tenant.waiting
    least_s = anybody_s * LEAST_SHARE
    return [one.received / one.due for one in tenants.values() if one.due > 0 and one.backlogged_s >= least_s]


def _dominant_s(outcome: Outcome, per_minute: Sequence[float]) -> float:
    """Seconds of the limit that it takes most of; 0 for what was never answered."""
    answer = outcome.answer
    if answer is None:
        return 0.0
    amounts = (1, answer.input_tokens, answer.output_tokens)
    return max(60 * amount / limit for amount, limit in zip(amounts, per_minute, strict=True))


class _Tenant:
    def __init__(self) -> None:
        self.waiting = 0
        self.received = self.due = self.backlogged_s = 0.0
        self._since_s = self._due_before = inf

    def arrived(self, at_s: float, due: float) -> None:
        if not self.waiting:
            self._since_s, self._due_before = at_s, due
        self.waiting += 1

    def left(self, at_s: float, due: float) -> None:
        self.waiting -= 1
        if not self.waiting:
            self.backlogged_s += at_s - self._since_s
            self.due += due - self._due_before
