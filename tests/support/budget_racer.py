"""A process that makes calls against a strict budget which it shares with others; a program of its own.

`python budget_racer.py FOLDER BASE_URL CALLS USD`: makes all calls at once through an engine in real time, prints how
many were answered, how many were refused for want of money, and what the answers cost.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from headgate.call import Call, Kind
from headgate.config.schema import BudgetConfig, Config, LedgerConfig, LogConfig, UpstreamConfig
from headgate.engine.engine import Engine
from headgate.errors import BudgetSpent
from headgate.records import CallRecord


def call_of(engine: Engine, sim: str = "tokens=40", max_tokens: int = 40) -> Call:
    """A call for what `sim` has the simulator do."""
    messages = [{"role": "user", "content": f"[[sim: {sim}]]"}]
    body = {"model": "claude-sonnet-5-5", "max_tokens": max_tokens, "messages": messages}
    now_ms = engine.clock.unix_ms()
    record = CallRecord(
        call_id=engine.new_call_id(now_ms), started_ms=now_ms, kind=Kind.MESSAGES, workflow="race", lane="standard"
    )
    return Call(
        record=record, kind=Kind.MESSAGES, method="POST", target="/v1/messages",
        headers=[(b"anthropic-version", b"2023-06-01"), (b"content-type", b"application/json")],
        body=msgspec.json.encode(body), arrived_s=engine.clock.now_s(),
    )  # fmt: skip


def engine_on(folder: Path, base_url: str, usd: str, name: str = "ledger") -> Engine:
    """An engine on the budgets in `folder`."""
    config = Config(
        upstream=UpstreamConfig(base_url=base_url),
        ledger=LedgerConfig(path=str(folder / f"{name}.db")),
        log=LogConfig(path="off"),
        budgets={"race": BudgetConfig(usd=usd, mode="strict", warn_at=0.0, slow_at=0.0)},
    )
    return Engine.from_config(config, {"ANTHROPIC_API_KEY": "sk-ant-test"})


async def race(engine: Engine, calls: int) -> tuple[int, int, int]:
    """Answered, refused, and what the answered cost in pico-dollars."""

    async def one() -> int:
        call = call_of(engine)
        try:
            reply = await engine.call(call)
        except BudgetSpent:
            return -1
        assert reply.failure is None, reply.failure
        assert call.record.cost_pico is not None
        return call.record.cost_pico

    try:
        costs = await asyncio.gather(*[one() for _ in range(calls)])
    finally:
        await engine.close()
    answered = [cost for cost in costs if cost >= 0]
    return len(answered), len(costs) - len(answered), sum(answered)


if __name__ == "__main__":
    path, url, count, dollars = sys.argv[1:]
    print(*asyncio.run(race(engine_on(Path(path), url, dollars), int(count))))
