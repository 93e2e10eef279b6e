"""The worlds of traffic.py: who asks, under which limits, in which weather, and what counts.

Each takes a policy and a seed and returns its metrics.  Runs, policies and bounds are those of `headgate replay`; a
world adds rows of a trace, changed, and a scenario.  A call waits from when it is asked until the request is sent that
is answered.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable
from functools import cache, partial
from itertools import accumulate
from math import inf
from pathlib import Path
from random import Random
from typing import Any

from headgate.load.traces import read_asked
from headgate.replay.bounds import fifo, fluid_bound_s
from headgate.replay.fairness import jain_of
from headgate.replay.policies import PolicyName
from headgate.replay.run import Outcome, Run, Setup, play
from headgate.replay.workload import Workload, from_trace

__all__ = ["WORLDS", "Found"]

Found = dict[str, float]
Rows = list[dict[str, Any]]
Limits = tuple[int, int, int]
"""Requests, input and output tokens a minute."""

MINUTE_S = 60.0
PROBE_INTERVAL_S = 60.0
"""The longest that a breaker stays open before it tries again."""
SLICES: dict[str, Limits] = {
    "azure-code": (1_000, 270_000, 20_000),
    "azure-chat": (1_000, 1_000_000, 55_000),
    "servegen-tenants": (500, 1_500_000, 400_000),
}
"""Limits that the slices saturate, each another of the three: input, output, requests."""
QUICK_S = (500.0, 1_100.0)
"""What the quick look takes of a slice: where it is busy."""
TENANTS_LIMITS: Limits = (1_000, 300_000, 60_000)


# ---- limits ----------------------------------------------------------------------------------------------------------


def saturated(policy: PolicyName, seed: int, quick: bool, *, slice_: str, depth_s: float) -> Found:
    """A slice under limits that it saturates; how much of a minute goes at once is not known."""
    workload, limits = _slice(slice_, quick), SLICES[slice_]
    run = _play(workload, policy, seed, limits, depth_s=depth_s)
    late = [attempt for attempt in run.attempts if attempt.at_s >= MINUTE_S]
    return _failed(run) | {
        "late_429": sum(attempt.status == 429 for attempt in late) / max(1, len(late)),
        "all_429": sum(attempt.status == 429 for attempt in run.attempts),
        "stretch": _makespan_s(run) / fluid_bound_s(workload.asks, limits, depth_s),
        "to_first_come": _makespan_s(run) / fifo(workload.asks, limits, depth_s).makespan_s,
    }


def cached(policy: PolicyName, seed: int, quick: bool) -> Found:
    """Conversations whose beginnings repeat, with cache markers, and a cache that lives five minutes."""
    limits = (1_000, 450_000, 90_000)
    workload = from_trace("mooncake-synthetic" if quick else "mooncake-chat")
    run = _play(workload, policy, seed, limits, depth_s=60, marked=True)
    read = sum(one.answer.cached_tokens for one in run.outcomes if one.answer is not None)
    return _failed(run) | {
        "stretch": _makespan_s(run) / fluid_bound_s(workload.asks, limits, 60, cached=True),
        "makespan_s": _makespan_s(run),
        "cached_share": read / (read + _admitted(run, 0, inf)[1]),
    }


def hidden(policy: PolicyName, seed: int, quick: bool, *, depth_s: float) -> Found:
    """After a while somebody else takes half of every limit, and shows only in headers and 429s."""
    begin_s, until_s = (540.0, 480.0) if quick else (180.0, 1_600.0)
    from_s = 120.0 if quick else 420.0
    workload = _workload(
        row | {"arrival_s": row["arrival_s"] - begin_s}
        for row in _rows("azure-code")
        if begin_s <= row["arrival_s"] < begin_s + until_s
    )
    phases = f"[[phase]]\nfrom = {from_s:.0f}\nweather = {{ others_share = 0.5 }}\n"
    run = _play(workload, policy, seed, (1_000, 540_000, 40_000), depth_s=depth_s, phases=phases)
    later = [attempt for attempt in run.attempts if from_s <= attempt.at_s < until_s]
    busy_s = from_s + MINUTE_S  # of a deep bucket more than its refill may go in that time: what had been saved up
    return _failed(run) | {
        "share_429": sum(attempt.status == 429 for attempt in later) / max(1, len(later)),
        "used": _admitted(run, busy_s, until_s)[1] / ((until_s - busy_s) * 270_000 / MINUTE_S),
    }


# ---- lanes and tenants -----------------------------------------------------------------------------------------------


def lanes(policy: PolicyName, seed: int, quick: bool) -> Found:
    """People ask a third of the Azure chat trace, while nightly work offers three times the limit."""
    from_s, until_s = MINUTE_S, 240.0 if quick else 500.0
    faster = 3 * 450_000 / 390_000  # the Azure code trace offers 390k a minute
    people = [row | {"lane": "interactive", "tenant": "chat"} for row in _rows("azure-chat")[seed % 3 :: 3]]
    nightly = [
        row | {"lane": "bulk", "tenant": "nightly", "arrival_s": row["arrival_s"] / faster}
        for row in _rows("azure-code")
    ]
    workload = _workload(row for row in (*people, *nightly) if row["arrival_s"] < until_s)
    run = _play(workload, policy, seed, (1_000, 450_000, 90_000), depth_s=10)
    left = (until_s - from_s) * 450_000 / MINUTE_S - _admitted(run, from_s, until_s, "interactive")[1]
    return _failed(run) | {
        "interactive_p95_s": _p95(_waits_s(run, "interactive", from_s, until_s)),
        "bulk_share": _admitted(run, from_s, until_s, "bulk")[1] / left,
    }


def tenants(policy: PolicyName, seed: int, quick: bool) -> Found:
    """Two dozen tenants of very different size, recorded, under a third of the limit that they need together."""
    run = _play(_slice("servegen-tenants", quick), policy, seed, TENANTS_LIMITS, depth_s=10)
    return _failed(run) | {"jain": jain_of(run)}


def backlogged(policy: PolicyName, seed: int, quick: bool) -> Found:
    """The same tenants and their calls, each asking for twice a 24th of one limit at least; the greediest for ten times
    as much as the humblest.  Since not all need the same limit a share is one and a half times that 24th, and who asks
    for no more is not backlogged."""
    until_s = 600.0
    of_tenant: dict[str, Rows] = {}
    for row in _rows("servegen-tenants"):
        of_tenant.setdefault(row["tenant"], []).append(row)
    asked: Rows = []
    for place, rows in enumerate(of_tenant.values()):
        times_due = 2.0 * 10 ** (place / (len(of_tenant) - 1))
        at_s, number = 0.0, seed
        while at_s < until_s:
            row = rows[number % len(rows)]
            asked.append(row | {"arrival_s": at_s})
            needs = (1, row["input_tokens"], row["output_tokens"])
            dominant_s = max(MINUTE_S * need / limit for need, limit in zip(needs, TENANTS_LIMITS, strict=True))
            at_s += dominant_s * len(of_tenant) / times_due
            number += 1
    run = _play(_workload(asked), policy, seed, TENANTS_LIMITS, depth_s=10)
    return _failed(run) | {"jain": jain_of(run)}


# ---- storms ----------------------------------------------------------------------------------------------------------

STORM_S = (60.0, 780.0)
STORMS = {
    "529": "weather = { overload_share = 1 }",
    "429": '\n[[phase.requests]]\npath = "/v1/messages"\ndo = "error=429"',
}


def storm(policy: PolicyName, seed: int, quick: bool, *, status: str) -> Found:
    """Twelve minutes in which every request is refused, in traffic that takes half of what the account allows."""
    from_s, until_s = STORM_S
    part = 4 if quick else 1
    limits = (1_000 // part, 900_000 // part, 150_000 // part)
    last_s = until_s + (300.0 if quick else 600.0)
    workload = _workload(row for row in _rows("azure-chat")[::part] if row["arrival_s"] < last_s)
    phases = f"[[phase]]\nfrom = {from_s:.0f}\nto = {until_s:.0f}\n{STORMS[status]}\n"
    run = _play(workload, policy, seed, limits, depth_s=60, phases=phases)
    return _failed(run) | {
        "attempts": len(run.attempts) / len(run.outcomes),
        "recovery": _recovery_s(run, until_s, limits) / PROBE_INTERVAL_S,
        "in_storm": sum(from_s <= attempt.at_s < until_s for attempt in run.attempts),
    }


def _recovery_s(run: Run, until_s: float, limits: Limits) -> float:
    """From the end of the storm to the first half minute in which nine tenths of one of the limits are used, or else
    nobody who has asked by then still waits."""
    window_s, longest_s = 30.0, 1_800.0
    need = [0.9 * limit * window_s / MINUTE_S for limit in limits]
    for second in range(int(longest_s)):
        at_s = until_s + second
        used = _admitted(run, at_s, at_s + window_s)
        if any(took >= wanted for took, wanted in zip(used, need, strict=True)):
            return float(second)
        asked = [one for one in run.outcomes if at_s <= one.asked_s < at_s + window_s]
        if asked and all(one.answer is not None and one.answer.admitted_s < at_s + window_s + 1 for one in asked):
            return float(second)
    return longest_s


def retry_storm(policy: PolicyName, seed: int, quick: bool) -> Found:
    """Jobs at four fifths of the limit and people beside them; one bad minute of 529s, on a limit that refused requests
    use up too.  Of the rivals, `fixed-retry` is forty workers that try each job again every two seconds."""
    rpm, jobs_per_minute, until_s = 300, 240, 780.0
    calm_s = 120.0 + 2 * PROBE_INTERVAL_S
    rng = Random(seed)
    people_s = accumulate(rng.expovariate(20 / MINUTE_S) for _ in range(400))
    workload = _workload(
        [
            *(_row(number * MINUTE_S / jobs_per_minute, 200, "bulk") for number in range(int(jobs_per_minute * 13))),
            *(_row(at_s, 100, "interactive") for at_s in people_s if at_s < until_s),
        ]
    )
    phases = (
        "[settings.limits]\nrejected_requests_count = true\n\n"
        "[[phase]]\nfrom = 60\nto = 120\nweather = { overload_share = 1 }\n"
    )
    run = _play(workload, policy, seed, (rpm, 10_000_000, 10_000_000), depth_s=1, phases=phases)
    queued = _queued(run, until_s)
    busy = [second for second in range(int(calm_s), int(until_s)) if queued[second] >= 10]
    done = sum(_admitted(run, second, second + 1)[0] for second in busy)
    waits_s = _waits_s(run, "interactive", 0, MINUTE_S) + _waits_s(run, "interactive", calm_s, until_s)
    return _failed(run) | {
        "most_queued": max(queued),
        "at_end": queued[-1],
        "throughput": done / (len(busy) * rpm / MINUTE_S) if busy else 1.0,
        "interactive_p95_s": _p95(waits_s),
        "attempts": len(run.attempts) / len(run.outcomes),
    }


def _row(at_s: float, output_tokens: int, lane: str) -> dict[str, Any]:
    return {"arrival_s": at_s, "input_tokens": 400, "output_tokens": output_tokens, "lane": lane, "tenant": lane}


def _queued(run: Run, until_s: float) -> list[int]:
    """At every second: calls that were asked and not yet let in for good."""
    last = int(until_s)
    change = [0] * (last + 1)
    for one in run.outcomes:
        change[min(last, int(one.asked_s))] += 1
        if one.answer is not None:
            change[min(last, int(one.answer.admitted_s))] -= 1
    return list(accumulate(change))[:last]


# ---- what is common --------------------------------------------------------------------------------------------------


def _play(
    workload: Workload,
    policy: PolicyName,
    seed: int,
    limits: Limits,
    *,
    depth_s: float,
    phases: str = "[[phase]]\n",
    marked: bool = False,
) -> Run:
    rpm, itpm, otpm = limits
    with tempfile.TemporaryDirectory(prefix="headgate-traffic-") as folder:
        scenario = Path(folder) / "weather.toml"
        scenario.write_text(f'about = "a world of bench/traffic.py"\n{phases}')
        return play(
            workload,
            Setup(
                policy=policy,
                rpm=rpm,
                itpm=itpm,
                otpm=otpm,
                depth_s=depth_s,
                seed=seed,
                latency="typical",
                marked=marked,
                scenario=str(scenario),
            ),
        )


@cache
def _rows(slice_: str) -> Rows:
    """A slice as rows that can be changed."""
    return [
        {
            "arrival_s": one.at_s,
            "input_tokens": sum(piece.tokens for piece in one.turn.messages[0]),
            "output_tokens": one.turn.output_tokens,
            "tenant": one.turn.workflow,
        }
        for one in read_asked(slice_)
    ]


def _workload(rows: Iterable[dict[str, Any]]) -> Workload:
    with tempfile.TemporaryDirectory(prefix="headgate-traffic-") as folder:
        file = Path(folder) / "rows.jsonl"
        ordered = sorted(rows, key=lambda row: float(row["arrival_s"]))
        file.write_text("".join(json.dumps(row) + "\n" for row in ordered))
        return from_trace(str(file))


@cache
def _slice(slice_: str, quick: bool) -> Workload:
    if not quick:
        return from_trace(slice_)
    begin_s, end_s = QUICK_S
    inside = (row for row in _rows(slice_) if begin_s <= row["arrival_s"] < end_s)
    return _workload(row | {"arrival_s": row["arrival_s"] - begin_s} for row in inside)


def _of_lane(run: Run, lane: str | None) -> list[Outcome]:
    return [one for one in run.outcomes if lane is None or one.ask.lane == lane]


def _admitted(run: Run, from_s: float, to_s: float, lane: str | None = None) -> tuple[int, int, int]:
    """Requests, input and output tokens of the answered calls that were let in in that time."""
    answers = [one.answer for one in _of_lane(run, lane) if one.answer is not None]
    inside = [answer for answer in answers if from_s <= answer.admitted_s < to_s]
    return len(inside), sum(one.input_tokens for one in inside), sum(one.output_tokens for one in inside)


def _waits_s(run: Run, lane: str, from_s: float, to_s: float) -> list[float]:
    """Of the calls that were asked in that time; one that was never answered waits for ever."""
    return [
        one.waited_s if one.answer is not None else inf for one in _of_lane(run, lane) if from_s <= one.asked_s < to_s
    ]


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))] if values else 0.0


def _makespan_s(run: Run) -> float:
    return max((one.answer.admitted_s for one in run.outcomes if one.answer is not None), default=0.0)


def _failed(run: Run) -> Found:
    return {"failed": sum(one.answer is None for one in run.outcomes) / max(1, len(run.outcomes))}


WORLDS: dict[str, Callable[[PolicyName, int, bool], Found]] = {
    **{
        f"{depth_s}s/{slice_}": partial(saturated, slice_=slice_, depth_s=depth_s)
        for depth_s in (1, 10, 60)
        for slice_ in SLICES
    },
    "cached": cached,
    "lanes": lanes,
    "tenants/recorded": tenants,
    "tenants/backlogged": backlogged,
    **{f"storm/{status}": partial(storm, status=status) for status in STORMS},
    "retry-storm": retry_storm,
    **{f"hidden/{depth_s}s": partial(hidden, depth_s=depth_s) for depth_s in (10, 60)},
}
