"""What the prompt cache costs and saves where Headgate places the markers: by the simulated API's own invoice.

    python bench/money_cache.py                        the traces that come along
    python bench/money_cache.py FILE...                other ones
    python bench/money_cache.py --offline              planner and an exact cache alone, in seconds
    python bench/money_cache.py --offline --fine       the same, each of a trace's blocks a content block of its own
    python bench/money_cache.py --no-keep-alive        without requests that only keep prompts alive
    python bench/money_cache.py --plant                the first day of the plan that comes along, with them and without

A row's input cost is divided by what its prompts would have cost without a cache.
"""

from __future__ import annotations

import argparse
from bisect import bisect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from headgate.core.cache_plan import Terms
from headgate.load.plant import read_plant
from headgate.load.traces import SHIPPED
from headgate.replay.compare import compared, sums_of
from headgate.replay.prompt_cache import LEAD_S, Asked, Played
from headgate.replay.prompt_cache import play as play_planner
from headgate.replay.run import Setup, play
from headgate.replay.workload import Changes, Workload, from_trace
from headgate.usage import Usage

__all__ = ["cache"]

MODEL = "claude-opus-5"
"""Writes at 1.25 and 2, reads at 0.1, and 512 tokens are enough to be cached."""
TERMS = Terms(input=1.0, write_5m=1.25, write_1h=2.0, read=0.1, least_tokens=512)
LIFETIME_S = 300.0
HOUR_S = 3_600.0
AGO_S = (30.0, 60.0, 100.0, 200.0, 300.0, 600.0)


class Costs(NamedTuple):
    """Shares of what prompts would cost without a cache."""

    headgate: float
    everything_5m: float
    in_hindsight: float
    oracle: float
    worst_hour: float


def cache(seed: int, quick: bool) -> dict[str, float]:
    """Recorded chats, at the invoice."""
    conv = invoiced("mooncake-chat", seed=seed).cost
    return {"conv": conv} if quick else {"conv": conv, "synthetic": invoiced("mooncake-synthetic", seed=seed).cost}


class Invoice(NamedTuple):
    """What a trace costs by the books of the simulated API."""

    cost: float
    """Of the input, as a share of what it would be without a cache."""
    requests: float
    """For each call."""


def invoiced(source: str, *, seed: int = 0, keeps_alive: bool = True) -> Invoice:
    workload = _workload(source)
    run = play(
        workload,
        Setup(tier="scale", rpm=10**6, itpm=10**9, otpm=10**9, marked=False, places_markers=True,
              keeps_alive=keeps_alive, seed=seed, latency="typical"),
    )  # fmt: skip
    if any(outcome.answer is None for outcome in run.outcomes):
        raise RuntimeError(f"{source}: not every call was answered")
    return Invoice(
        _cost(run.billed.usage) / sum(ask.prompt.tokens for ask in workload.asks),
        run.billed.requests / len(run.outcomes),
    )


def _workload(source: str) -> Workload:
    return from_trace(source, replace(Changes(), model=MODEL))


def _cost(usage: Usage) -> float:
    return (
        usage.input
        + TERMS.write_5m * usage.cache_write_5m
        + TERMS.write_1h * usage.cache_write_1h
        + TERMS.read * usage.cache_read
    )


# -- planner and cache alone -------------------------------------------------------------------------------------------


def offline(source: str, *, fine: bool, keeps_alive: bool) -> Costs:
    asked = _blocks(source) if fine else _prompts(source)
    played = sorted(play_planner(asked, TERMS, keeps_alive=keeps_alive), key=lambda each: each.at_s)
    tokens = sum(each.tokens for each in played)
    return Costs(
        sum(each.cost for each in played) / tokens,
        _reference(asked, everything=True) / tokens,
        _in_hindsight(asked) / tokens,
        _reference(asked, everything=False) / tokens,
        _worst_hour(played),
    )


def _prompts(source: str) -> list[Asked]:
    """Prompts as `headgate replay` sends them: what is always sent together is one content block."""
    return [
        Asked(ask.at_s, ask.tenant, [part.id for part in ask.prompt.parts], [part.tokens for part in ask.prompt.parts])
        for ask in _workload(source).asks
    ]


def _blocks(source: str) -> list[Asked]:
    """Every block of the trace a content block, so that nothing tells where prompts will part."""
    return [
        Asked(ask.at_s, ask.tenant, [piece.name for piece in pieces], [piece.tokens for piece in pieces])
        for ask in _workload(source).asks
        for pieces in ask.turn.messages[:1]
    ]


def _reference(asked: Sequence[Asked], *, everything: bool) -> float:
    """The cost with a cache of blocks, all of them written, or only what is read again in time."""
    starts = [
        list(accumulate(each.blocks, lambda before, block: hash((before, block)), initial=0))[1:] for each in asked
    ]
    again_s: dict[int, float] = {}
    wanted: list[list[bool]] = []
    for each, ids in zip(reversed(asked), reversed(starts), strict=True):
        wanted.append([everything or again_s.get(block, float("inf")) - each.at_s <= LIFETIME_S for block in ids])
        again_s |= dict.fromkeys(ids, each.at_s)
    until_s: dict[int, float] = {}
    cost = 0.0
    for each, ids, keep in zip(asked, starts, reversed(wanted), strict=True):
        read = True
        for block, tokens, kept in zip(ids, each.tokens, keep, strict=True):
            read = read and until_s.get(block, -1.0) >= each.at_s
            cost += tokens * (TERMS.read if read else TERMS.write_5m if kept else TERMS.input)
            if read or kept:
                until_s[block] = each.at_s + LIFETIME_S
    return cost


class _Kind:
    """Blocks that look alike when they are asked, and how many of their tokens came again in one lifetime and two."""

    tokens = within_1 = within_2 = 0.0

    def saved(self) -> float:
        """By the better of writing them for five minutes and keeping them alive once, or by neither."""
        for_5m = (TERMS.write_5m - TERMS.read) * self.within_1 - (TERMS.write_5m - TERMS.input) * self.tokens
        renewals = TERMS.read * (self.tokens - self.within_1)
        kept = for_5m + (TERMS.write_5m - TERMS.read) * (self.within_2 - self.within_1) - renewals
        return max(0.0, for_5m, kept)


def _in_hindsight(asked: Sequence[Asked]) -> float:
    """The cost for whoever knew from the start how often each kind of block comes again, but not which of them.

    Kinds go by how often and how long ago a block was seen, how much of its prompt is new, and whether it is the last.
    """
    kinds: defaultdict[tuple[int, ...], _Kind] = defaultdict(_Kind)
    last: dict[int, tuple[float, int, _Kind, float]] = {}
    cost = 0.0
    for each in asked:
        ids = list(accumulate(each.blocks, lambda before, block: hash((before, block)), initial=0))[1:]
        new = sum(tokens for block, tokens in zip(ids, each.tokens, strict=True) if block not in last)
        for block, tokens in zip(ids, each.tokens, strict=True):
            cost += tokens * TERMS.input
            at_s, times, before, of_before = last.get(block, (-HOUR_S, 0, _Kind(), 0.0))
            ago_s = each.at_s - at_s
            before.within_1 += of_before * (ago_s <= LIFETIME_S)
            before.within_2 += of_before * (ago_s <= 2 * LIFETIME_S - LEAD_S)
            kind = kinds[min(times, 6), bisect(AGO_S, ago_s), int(new).bit_length(), block == ids[-1]]
            kind.tokens += tokens
            last[block] = each.at_s, times + 1, kind, tokens
    return cost - sum(kind.saved() for kind in kinds.values())


def _worst_hour(played: Sequence[Played]) -> float:
    """Of all hours that begin with a call, and of the whole if it is shorter."""
    cost = list(accumulate((each.cost for each in played), initial=0.0))
    tokens = list(accumulate((float(each.tokens) for each in played), initial=0.0))
    worst, end = 0.0, 0
    for begin, each in enumerate(played):
        while end < len(played) and played[end].at_s < each.at_s + HOUR_S:
            end += 1
        worst = max(worst, (cost[end] - cost[begin]) / (tokens[end] - tokens[begin]))
        if end == len(played):
            break
    return worst


def plant_day(*, seed: int) -> list[str]:
    """What the first day of the plan costs with requests that only keep prompts alive, and without."""
    lines = ["| | cost, USD | requests | a minute at the peak hour |", "| --- | ---: | ---: | ---: |"]
    for title, keeps_alive in (("with keep-alive", True), ("without", False)):
        run = compared(read_plant(), "headgate", seed=seed, days=1.0, keeps_alive=keeps_alive)
        sums = sums_of(run)
        lines.append(f"| {title} | {sums['cost_usd']} | {run.billed.requests} | {sums['peak_rpm']} |")
    return lines


def table(sources: Sequence[str], *, fine: bool, keeps_alive: bool) -> list[str]:
    lines = [
        "| trace | Headgate | all for 5 minutes | kinds in hindsight | oracle | worst hour |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for source in sources:
        told = offline(source, fine=fine, keeps_alive=keeps_alive)
        lines.append(
            f"| {source} | {told.headgate:.3f} | {told.everything_5m:.3f} | {told.in_hindsight:.3f} "
            f"| {told.oracle:.3f} | {told.worst_hour:.3f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="The input cost of traces where Headgate places cache markers.")
    parser.add_argument("traces", nargs="*", default=SHIPPED, help="names or files (default: those that come along)")
    parser.add_argument("--offline", action="store_true", help="planner and cache alone")
    parser.add_argument("--fine", action="store_true", help="offline: every block of a trace is a content block")
    parser.add_argument("--no-keep-alive", action="store_true", help="no requests that only keep prompts alive")
    parser.add_argument("--plant", action="store_true", help="a day of the plan, with such requests and without")
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args()
    if parsed.plant:
        print("\n".join(plant_day(seed=parsed.seed)))
        return
    if parsed.offline or parsed.fine:
        print("\n".join(table(parsed.traces, fine=parsed.fine, keeps_alive=not parsed.no_keep_alive)))
        return
    print("| trace | input cost at the invoice ÷ uncached | requests ÷ calls |\n| --- | ---: | ---: |")
    for source in parsed.traces:
        told = invoiced(source, seed=parsed.seed, keeps_alive=not parsed.no_keep_alive)
        print(f"| {source} | {told.cost:.3f} | {told.requests:.2f} |", flush=True)


if __name__ == "__main__":
    main()
