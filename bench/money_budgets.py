"""What budgets cost, and whom they refuse that they should not.

    python bench/money_budgets.py             both, about a minute
    python bench/money_budgets.py --json      for programs

CPU: what budgets add to a call that is charged to 0, 1, 3 and 6 of them, in memory: microseconds of the own CPU of the
process, the median of pieces, without garbage collection.

False refusals: agents that ask for `max_tokens` 32,000 and get 500, so many at a time, in virtual time against the
simulator; the budget is what all calls really cost, and a tenth or a half on top.  Who is refused is refused falsely.
It reports and judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from statistics import median
from typing import Any

import anthropic

from headgate.call import Attempt, Call, Kind, Reply
from headgate.clock import SystemClock
from headgate.config.schema import BudgetConfig, Config
from headgate.core.estimate import Estimator
from headgate.core.guard import parse_strict
from headgate.core.price import usd
from headgate.engine.budget import Budget
from headgate.engine.budgets import Budgets
from headgate.engine.load import load_catalog, load_prices
from headgate.net.http import HeaderBlock
from headgate.records import AttemptRecord, CallRecord
from headgate.sim.settings import TYPICAL_LATENCY, Answers, Limits
from headgate.stores.memory import MemoryBudgets
from headgate.testing import SimSettings, VirtualWorld, virtual

MODEL = "claude-sonnet-5-5"
SCOPES: tuple[dict[str, Any], ...] = (
    {"window": "month"}, {"window": "day", "per": ("user",)}, {"window": "hour", "team": "search"},
    {"window": "day", "per": ("workflow",)}, {"window": "week", "per": ("team", "model")},
    {"window": "day", "tag": "a"},
)  # fmt: skip
PIECE = 500
MAX_TOKENS, OUTPUT_TOKENS = 32_000, 500
AGENTS = ((1, 40), (10, 1_000), (100, 1_000))
"""So many at a time, so many calls.  The first have a budget that is smaller than the most that one call can cost."""
MARGINS = (1.1, 1.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    given = parser.parse_args()
    cpu = [
        {"budgets": number, "mode": mode, "us": round(cpu_us(number, mode), 1)}
        for mode in ("smooth", "strict")
        for number in (0, 1, 3, 6)
    ]
    false = [
        {
            "mode": mode,
            "agents": agents,
            "calls": calls,
            "margin": margin,
            **false_refusals(mode, agents=agents, calls=calls, margin=margin),
        }
        for mode in ("smooth", "strict")
        for agents, calls in AGENTS
        for margin in MARGINS
    ]
    if given.json:
        print(json.dumps({"cpu": cpu, "false_refusals": false}))
        return
    print("CPU of budgets, us a call\n")
    for row in cpu:
        print(f"  {row['mode']:<7} {row['budgets']} budgets  {row['us']:>6.1f}")
    print(f"\nFalse refusals: max_tokens {MAX_TOKENS:,}, answers of {OUTPUT_TOKENS}\n")
    for row in false:
        print(
            f"  {row['mode']:<7} {row['agents']:>3} agents, {row['calls']:>5} calls, budget {row['margin']:.1f} x cost"
            f"  {row['refused']:>4} refused ({100 * row['share']:.2f} %), {row['lowered']} lowered, {row['cut']} cut, "
            f"spent {100 * row['spent']:.1f} % of it, slowest wait {row['longest_s']:.1f} s"
        )


# -- CPU ---------------------------------------------------------------------------------------------------------------


def cpu_us(budgets: int, mode: Any) -> float:
    """Microseconds that `budgets` budgets add to a call."""
    return asyncio.run(_cpu_us(budgets, mode))


async def _cpu_us(number: int, mode: Any) -> float:
    clock = SystemClock()
    settings = {f"b{at}": BudgetConfig(usd="1000000", mode=mode, **SCOPES[at]) for at in range(number)}
    catalog = load_catalog()
    budgets = Budgets(settings, MemoryBudgets(), clock, same_model=lambda name: catalog.model(name).id)
    budget = Budget(budgets, load_prices(None), catalog, Estimator(), clock, Config().lanes)
    document, _ = parse_strict(
        b'{"model":"claude-sonnet-5-5","max_tokens":1024,"messages":[{"role":"user","content":"' + b"x" * 4000 + b'"}]}'
    )
    answer = Reply(200, HeaderBlock())

    async def proceed(call: Call) -> Reply:
        return answer

    def call() -> Call:
        record = CallRecord(
            call_id="call", started_ms=clock.unix_ms(), kind=Kind.MESSAGES, workflow="chat", lane="standard",
            model=MODEL, user="ada", team="search", tags="a,b",
        )  # fmt: skip
        made = Call(
            record=record, kind=Kind.MESSAGES, method="POST", target="/v1/messages", headers=[], body=b"x" * 4100,
            arrived_s=0.0, document=document, size=4000,
        )  # fmt: skip
        made.attempts.append(
            Attempt(AttemptRecord(call_id="call", attempt=1, started_ms=0, cost_pico=7_000, usage_source="vendor"), 0.0)
        )
        return made

    async def through(calls: list[Call]) -> float:
        began_s = time.process_time()
        for each in calls:
            await budget(each, proceed)
        return time.process_time() - began_s

    async def past(calls: list[Call]) -> float:
        began_s = time.process_time()
        for each in calls:
            await proceed(each)
        return time.process_time() - began_s

    gc.disable()
    try:
        added = []
        for _ in range(21):
            with_it, without = await through([call() for _ in range(PIECE)]), await past([call() for _ in range(PIECE)])
            added.append(1e6 * (with_it - without) / PIECE)
    finally:
        gc.enable()
    return median(added[1:])


# -- false refusals ----------------------------------------------------------------------------------------------------


def false_refusals(mode: Any, *, agents: int, margin: float, calls: int, seed: int = 0) -> dict[str, Any]:
    """Of `calls` calls by so many agents at a time, whose budget is `margin` times what they really cost."""
    cost = sum(_played(None, agents, calls, seed)["costs"])
    cap = int(cost * margin)
    budgets = {"agents": BudgetConfig(usd=f"{usd(cap):f}", mode=mode)}
    found = _played(Config(budgets=budgets), agents, calls, seed)
    return {
        "refused": found["refused"],
        "share": found["refused"] / calls,
        "lowered": found["lowered"],
        "cut": found["cut"],
        "spent": sum(found["costs"]) / cap,
        "longest_s": found["longest_s"],
    }


def _played(config: Config | None, agents: int, calls: int, seed: int) -> dict[str, Any]:
    settings = SimSettings(
        limits=Limits(tier="scale", rpm=100_000, itpm=100_000_000, otpm=10_000_000),
        answers=Answers(median_tokens=OUTPUT_TOKENS, spread=0.4, most_tokens=4 * OUTPUT_TOKENS),
        latency=TYPICAL_LATENCY,
    )
    found: dict[str, Any] = {"costs": [], "refused": 0, "lowered": 0, "cut": 0, "longest_s": 0.0}

    async def scene(world: VirtualWorld) -> None:
        client = world.client(max_retries=0)
        numbers = iter(range(calls))

        async def agent() -> None:
            for number in numbers:
                prompt = f"turn {number} " + "read the file and go on. " * (20 + number % 200)
                try:
                    answer = await client.messages.create(
                        model=MODEL,
                        max_tokens=MAX_TOKENS,
                        messages=[{"role": "user", "content": prompt}],
                        timeout=900.0,
                    )
                except anthropic.RateLimitError:
                    found["refused"] += 1
                else:
                    found["cut"] += answer.stop_reason == "max_tokens"

        await asyncio.gather(*[agent() for _ in range(agents)])
        for record in world.ledger.calls if world.ledger is not None else ():
            found["costs"].append(record.cost_pico or 0)
            found["lowered"] += record.reason == "max_tokens_lowered"
            found["longest_s"] = max(found["longest_s"], record.queue_ms / 1000)

    virtual(scene, settings=settings, config=config, seed=seed, through="library")
    return found


if __name__ == "__main__":
    main()
