"""CPU of one admission decision, by how many calls wait.

    python bench/admission.py                 all of it, about two minutes
    python bench/admission.py --quick         fewer decisions
    python bench/admission.py --json          for programs

A decision is all that admission does for a call that has to wait: it asks, the gate looks for whom there is room
(twice: one goes, and the next one has to wait), and what the call took is settled.  With prefixes the memory of the
prompt cache is kept too.  The queue's part (`add`, `pick` and `charge`) is told apart.  As many wait all the while, and
in every lane, since each asks for as much as it gets.
CPU seconds are the process's own, without garbage collection.  It reports and judges nothing.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from statistics import median
from typing import Any

from headgate.core.backend import Backend
from headgate.core.breaker import Breaker
from headgate.core.concurrency import Concurrency
from headgate.core.fair_queue import FairQueue, Lane, Ticket
from headgate.core.gate import Gate
from headgate.core.limits import UNLIMITED, Limit
from headgate.core.prefix import Prefix
from headgate.core.prefix_heat import PrefixHeat
from headgate.core.ramp import Ramp

WAITING = (100, 10_000, 100_000)
TENANTS = (1, 1_000)
PROMPTS = ("plain", "prefixes")
LANES = (Lane(name="interactive", weight=8.0, headroom=0.1), Lane(name="standard", weight=3.0), Lane(name="bulk"))
ASKED = tuple(lane.name for lane in LANES for _ in range(round(lane.weight)))
BORDERS = 8
TURNS = 6
"""Calls of one conversation: they share a beginning of 4 of its borders, and all calls share the first."""
SETTLING = 2_000
"""Decisions until the lane with headroom is ahead of the others by as much as it may be."""
PIECE = 100
"""Decisions between two looks at the clock; the median of the pieces is told."""
EVERY_S = 0.01
"""Between two calls, and between two permits: as many go as come."""
BEGIN_S = 1.0
SEED = 7

Decide = Callable[[Ticket, float], None]


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
    print("| prompts | tenants | waiting | decision, us | to 100 waiting | of it the queue, us | leaving, us |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        print(
            f"| {row['prompts']} | {row['tenants']:,} | {row['waiting']:,} | {row['decision_us']:.1f} "
            f"| {row['ratio']:.2f} | {row['queue_us']:.1f} | {row['leaving_us']:.1f} |"
        )


def measured(prompts: str, tenants: int, waiting: int, decisions: int) -> dict[str, Any]:
    coming = tickets(prompts, tenants)
    gate = a_gate()
    while gate.waiting < waiting:  # at the second from which it is measured, so that no permits are left over
        through(gate, next(coming), BEGIN_S)
    now_s = BEGIN_S
    for _ in range(SETTLING):
        now_s += EVERY_S
        through(gate, next(coming), now_s)
    decision_us = cpu_us(lambda ticket, now_s: through(gate, ticket, now_s), coming, decisions, now_s)
    # A few more wait than before: what is left free for the lane with headroom.
    assert abs(gate.waiting - waiting) <= 20 + waiting / 100, "as many should wait as before"
    leaving_us = leaving(gate, coming)
    heat = PrefixHeat()
    queue = FairQueue(LANES, heat)
    for _ in range(waiting):
        queue.add(next(coming), 0.0)
    queue_us = cpu_us(lambda ticket, now_s: queued(queue, heat, ticket, now_s), coming, decisions, BEGIN_S)
    return {
        "prompts": prompts, "tenants": tenants, "waiting": waiting, "decision_us": round(decision_us, 2),
        "queue_us": round(queue_us, 2), "leaving_us": round(leaving_us, 2),
    }  # fmt: skip


def cpu_us(decide: Decide, coming: Iterator[Ticket], decisions: int, now_s: float) -> float:
    """Of one decision.  Each call is made shortly before it asks, as a call is that has just been read."""
    gc.collect()
    gc.disable()  # what collections cost is the process's affair, and depends on all else that it holds
    took_s: list[float] = []
    for _ in range(decisions // PIECE):
        asked = [next(coming) for _ in range(PIECE)]
        begun_s = time.process_time()
        for ticket in asked:
            now_s += EVERY_S
            decide(ticket, now_s)
        took_s.append((time.process_time() - begun_s) / PIECE)
    gc.enable()
    return median(took_s) * 1e6


def leaving(gate: Gate, coming: Iterator[Ticket]) -> float:
    """CPU of one caller that goes while it waits."""
    gone = [next(coming) for _ in range(2_000)]
    for ticket in gone:
        gate.ask(ticket, 0.0)
    Random(SEED).shuffle(gone)
    begun_s = time.process_time()
    for ticket in gone:
        gate.withdraw(ticket, 0.0)
    return (time.process_time() - begun_s) / len(gone) * 1e6


def a_gate() -> Gate:
    """One backend, whose requests are what limits it."""
    gate = Gate(LANES, rests_s=lambda name, now_s: 0.0, now_s=0.0)
    limits = [Limit(per_minute, "tier", 0.0) for per_minute in (60.0 / EVERY_S, UNLIMITED, UNLIMITED)]
    chance = Random(SEED)
    gate.backends.append(
        Backend(
            "default", limits, breaker=Breaker(chance), concurrency=Concurrency(), ramp=Ramp(UNLIMITED),
            now_s=0.0,
        )
    )  # fmt: skip
    return gate


def through(gate: Gate, ticket: Ticket, now_s: float) -> None:
    granted = [ticket] if gate.ask(ticket, now_s) else gate.pump(now_s)[0]
    for gone in granted:
        if gone.prefixes:
            gate.heat.begun(gone.prefixes, now_s)
        gate.settle(gone, gone.needs, now_s)


def queued(queue: FairQueue, heat: PrefixHeat, ticket: Ticket, now_s: float) -> None:
    queue.add(ticket, now_s)
    gone, _ = queue.pick(now_s, _room)
    if gone is not None:
        queue.charge(gone, gone.needs[1] / 7_500.0)
        if gone.prefixes:
            heat.sent(gone.prefixes, now_s)
            heat.begun(gone.prefixes, now_s)


def _room(ticket: Ticket, into_headroom: bool) -> float:
    return 0.0


def tickets(prompts: str, tenants: int) -> Iterator[Ticket]:
    chance = Random(SEED)
    for number in count():
        prefixes = conversation(chance.randrange(1 + number // TURNS), number) if prompts == "prefixes" else ()
        lane = ASKED[number % len(ASKED)]
        tokens = chance.uniform(100, 20_000)
        yield Ticket(
            lane, f"tenant {chance.randrange(tenants)}", (1.0, tokens, 200.0), 0.0, prefixes, prompt_tokens=tokens
        )


def conversation(name: int, number: int) -> tuple[Prefix, ...]:
    """A prompt that shares its first border with all, the next three with its conversation, and the rest with none."""
    names = ["rules"] + [f"{name}"] * 3 + [f"{name} {number}"] * (BORDERS - 4)
    return tuple(
        Prefix(hash((each, border)), 600.0 * (border + 1), 300.0, border in (0, 3, BORDERS - 1))
        for border, each in enumerate(names)
    )


if __name__ == "__main__":
    main()
