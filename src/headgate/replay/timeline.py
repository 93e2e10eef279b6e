"""A run over time, in steps: what was offered and admitted, who waited, what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush

from headgate.replay.figures import LIMITED, percentile
from headgate.replay.run import Outcome, Run

__all__ = ["LIMITERS", "Timeline", "timeline_of"]

LIMITERS = ("requests", "input tokens", "output tokens")
STEPS = 200
"""At most so many."""
SHORTEST_STEP_S = 10.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """One value for each step.

    Attributes:
        pool: the models whose limit is in most demand; shares are of its limits.
        limiter: the limit in most demand.
        offered, admitted: of that limit, in shares of it.
        used: what was admitted, in shares of each limit.
        oldest_wait_s: of the calls that wait at the end of a step.
        waits_s: by lane, the 95th percentile of those admitted in a step; None where none was.
        limited: 429s.
    """

    step_s: float
    pool: str
    limiter: str
    offered: list[float]
    admitted: list[float]
    used: dict[str, list[float]]
    oldest_wait_s: list[float]
    waiting: list[int]
    waits_s: dict[str, list[float | None]]
    limited: list[int]

    @property
    def at_s(self) -> list[float]:
        """The middle of each step."""
        return [(step + 0.5) * self.step_s for step in range(len(self.limited))]


def timeline_of(run: Run) -> Timeline:
    end_s = max([outcome.asked_s + outcome.waited_s for outcome in run.outcomes] + [one.at_s for one in run.attempts])
    step_s = max(SHORTEST_STEP_S, end_s / STEPS)
    steps = int(end_s / step_s) + 1
    offered = {pool: [[0.0] * steps for _ in LIMITERS] for pool in run.per_minute}
    admitted = {pool: [[0.0] * steps for _ in LIMITERS] for pool in run.per_minute}
    for outcome in run.outcomes:
        ask, answer = outcome.ask, outcome.answer
        pool = str(ask.model.rate_limit_pool)
        _add(offered[pool], int(ask.at_s / step_s), (1, ask.input_tokens, ask.output_tokens))
        if answer is not None:
            counted = (1, answer.input_tokens, answer.output_tokens)
            _add(admitted[pool], int(answer.admitted_s / step_s), counted)
    demand = {
        (sum(offered[pool][index]) / limit, pool, index)
        for pool, limits in run.per_minute.items()
        for index, limit in enumerate(limits)
    }
    _, busiest, index = max(demand)
    limits = [limit * step_s / 60 for limit in run.per_minute[busiest]]
    used = {
        name: [amount / limit for amount in admitted[busiest][number]]
        for number, (name, limit) in enumerate(zip(LIMITERS, limits, strict=True))
    }
    oldest, waiting = _queue(run.outcomes, step_s, steps)
    limited = [0] * steps
    for attempt in run.attempts:
        limited[int(attempt.at_s / step_s)] += attempt.status == LIMITED
    return Timeline(
        step_s=step_s,
        pool=busiest,
        limiter=LIMITERS[index],
        offered=[amount / limits[index] for amount in offered[busiest][index]],
        admitted=used[LIMITERS[index]],
        used=used,
        oldest_wait_s=oldest,
        waiting=waiting,
        waits_s=_waits(run.outcomes, step_s, steps),
        limited=limited,
    )


def _add(sums: list[list[float]], step: int, amounts: tuple[float, float, float]) -> None:
    for of, amount in zip(sums, amounts, strict=True):
        of[step] += amount


def _queue(outcomes: list[Outcome], step_s: float, steps: int) -> tuple[list[float], list[int]]:
    """At the end of each step: how long the oldest has waited, and how many wait."""
    come = sorted((outcome.asked_s, outcome.asked_s + outcome.waited_s) for outcome in outcomes)
    by_age: list[tuple[float, float]] = []
    leaving: list[float] = []
    oldest, waiting = [], []
    number = 0
    for step in range(1, steps + 1):
        now_s = step * step_s
        while number < len(come) and come[number][0] <= now_s:
            heappush(by_age, come[number])
            heappush(leaving, come[number][1])
            number += 1
        while leaving and leaving[0] <= now_s:
            heappop(leaving)
        while by_age and by_age[0][1] <= now_s:
            heappop(by_age)
        oldest.append(now_s - by_age[0][0] if by_age else 0.0)
        waiting.append(len(leaving))
    return oldest, waiting


def _waits(outcomes: list[Outcome], step_s: float, steps: int) -> dict[str, list[float | None]]:
    found: dict[str, list[list[float]]] = {}
    for outcome in outcomes:
        if outcome.answer is not None:
            of = found.setdefault(outcome.ask.lane, [[] for _ in range(steps)])
            of[int(outcome.answer.admitted_s / step_s)].append(outcome.waited_s)
    return {
        lane: [percentile(sorted(waits), 95) if waits else None for waits in of] for lane, of in sorted(found.items())
    }
