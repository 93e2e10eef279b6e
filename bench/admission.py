"""CPU of one admission decision, by how many calls wait.

    python bench/admission.py                 all of it, about a minute
    python bench/admission.py --quick         fewer decisions
    python bench/admission.py --json          for programs

One decision is what a call costs the queue from first to last: `add`, `pick` and `charge`, and with prefixes what the
memory of the prompt cache is told of it.  While it is measured as many wait as before.  CPU seconds are the process's
own.  It reports and judges nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from collections.abc import Iterator
from itertools import count
from random import Random
from statistics import median
from typing import Any

from headgate.core.fair_queue import FairQueue, Lane, Ticket
from headgate.core.prefix import Prefix
from headgate.core.prefix_heat import PrefixHeat

WAITING = (100, 10_000, 100_000)
TENANTS = (1, 1_000)
PROMPTS = ("plain", "prefixes")
LANES = (Lane(name="interactive", weight=8.0, headroom=0.1), Lane(name="standard", weight=3.0), Lane(name="bulk"))
BORDERS = 8
TURNS = 6
"""Calls of one conversation: they share a beginning of 4 of its borders, and all calls share the first."""
PIECE = 100
"""Decisions between two looks at the clock; the median of the pieces is told."""
EVERY_S = 0.01
"""Between two calls, so that entries of the prompt cache come and go."""
SEED = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2,000 decisions a row instead of 20,000")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    decisions = 2_000 if given.quick else 20_000
    rows = [
        measured(prompts, tenants, waiting, decisions)
        for prompts in PROMPTS
        for tenants in TENANTS
        for waiting in WAITING
    ]
    for row in rows:
        least = next(each for each in rows if (each["prompts"], each["tenants"]) == (row["prompts"], row["tenants"]))
        row["ratio"] = round(row["decision_us"] / least["decision_us"], 2)
    if given.json:
        print(json.dumps({"decisions": decisions, "rows": rows}, indent=1))
        return
    print(
        "| prompts | tenants | waiting | decision, us | to 100 waiting | worst, us | discard, us | memory a call, kB |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        print(
            f"| {row['prompts']} | {row['tenants']:,} | {row['waiting']:,} | {row['decision_us']:.1f} "
            f"| {row['ratio']:.2f} | {row['worst_us']:,.0f} | {row['discard_us']:.1f} | {row['kb']:.1f} |"
        )


def measured(prompts: str, tenants: int, waiting: int, decisions: int) -> dict[str, Any]:
    """One row.  `worst_us` is the CPU of the slowest single decision."""
    heat = PrefixHeat()
    queue = FairQueue(LANES, heat)
    coming = tickets(prompts, tenants)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(waiting):
        queue.add(next(coming), 0.0)
    kb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / waiting
    gc.collect()
    gc.disable()  # what collections cost is the process's affair, and depends on all else that it holds
    now_s = worst_s = 0.0
    took_s: list[float] = []
    for _ in range(decisions // PIECE):
        asked = [next(coming) for _ in range(PIECE)]
        begun_s = time.process_time()
        for ticket in asked:
            decide(queue, heat, ticket, now_s)
        took_s.append((time.process_time() - begun_s) / PIECE)
        now_s += PIECE * EVERY_S
    for _ in range(decisions):
        ticket = next(coming)
        begun_s = time.thread_time()
        decide(queue, heat, ticket, now_s)
        worst_s = max(worst_s, time.thread_time() - begun_s)
        now_s += EVERY_S
    leaving = [next(coming) for _ in range(min(decisions, 2_000))]
    for ticket in leaving:
        queue.add(ticket, 0.0)
    Random(SEED).shuffle(leaving)
    begun_s = time.process_time()
    for ticket in leaving:
        queue.discard(ticket, 0.0)
    discard_us = (time.process_time() - begun_s) / len(leaving) * 1e6
    gc.enable()
    return {
        "prompts": prompts, "tenants": tenants, "waiting": waiting, "decision_us": round(median(took_s) * 1e6, 2),
        "worst_us": round(worst_s * 1e6, 1), "discard_us": round(discard_us, 2), "kb": round(kb, 2),
    }  # fmt: skip


def decide(queue: FairQueue, heat: PrefixHeat, ticket: Ticket, now_s: float) -> None:
    """One comes, and one goes."""
    queue.add(ticket, now_s)
    gone, _ = queue.pick(now_s, _room)
    if gone is not None:
        queue.began(gone)
        queue.charge(gone, gone.needs[1] / 7_500.0)
        if gone.prefixes:
            heat.sent(gone.prefixes, now_s)
            heat.begun(gone.prefixes, now_s)
        queue.ended(gone)


def _room(ticket: Ticket, into_headroom: bool) -> float:
    return 0.0


def tickets(prompts: str, tenants: int) -> Iterator[Ticket]:
    chance = Random(SEED)
    for number in count():
        prefixes = conversation(chance.randrange(1 + number // TURNS), number) if prompts == "prefixes" else ()
        lane = LANES[number % len(LANES)].name
        needs = (1.0, chance.uniform(100, 20_000), 200.0)
        yield Ticket(lane, f"tenant {chance.randrange(tenants)}", needs, 0.0, prefixes)


def conversation(name: int, number: int) -> tuple[Prefix, ...]:
    """A prompt that shares its first border with all, the next three with its conversation, and the rest with none."""
    names = ["rules"] + [f"{name}"] * 3 + [f"{name} {number}"] * (BORDERS - 4)
    return tuple(
        Prefix(f"{each} {border}".encode(), 600.0 * (border + 1), 300.0, border in (0, 3, BORDERS - 1))
        for border, each in enumerate(names)
    )


if __name__ == "__main__":
    main()
