"""A thousand calls at once against a strict budget for exactly a hundred: tasks, threads, and processes on one file.

    python bench/money_race.py child FOLDER BASE_URL CALLS USD    one of the processes

In real time, through the official SDK's sync client for threads, against `headgate.testing.simulated_claude`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anthropic
from msgspec.json import encode

import headgate
from headgate.call import Call, Kind
from headgate.config.schema import BudgetConfig, Config, LedgerConfig, LogConfig, UpstreamConfig
from headgate.core.price import usd
from headgate.engine.engine import Engine
from headgate.errors import BudgetSpent
from headgate.sim.settings import Limits
from headgate.testing import SimSettings, simulated_claude
from headgate.testing.engine_call import engine_call

__all__ = ["race"]

CALLS, ENOUGH_FOR = 1_000, 100
PROCESSES, THREADS = 8, 100
FAST = SimSettings(limits=Limits(tier="scale", rpm=1_000_000, itpm=100_000_000, otpm=100_000_000))
ASKING = {
    "model": "claude-sonnet-5-5", "max_tokens": 40, "messages": [{"role": "user", "content": "[[sim: tokens=40]]"}],
}  # fmt: skip


def race(seed: int, quick: bool) -> dict[str, float]:
    """How many more or fewer than a hundred were answered, and picodollars over the budget, at the worst."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, simulated_claude(FAST) as claude:
        cap = ENOUGH_FOR * asyncio.run(_price_of_one(Path(folder) / "alone", claude.base_url))
        for name, run in (("tasks", _tasks), ("threads", _threads), ("processes", _processes)):
            before = claude.books()["cost_pico"]
            answered = run(Path(folder) / name, claude.base_url, f"{usd(cap):f}")
            found[name] = float(answered)
            found[f"{name}_over"] = float(max(0, claude.books()["cost_pico"] - before - cap))
    found["off"] = max(abs(found[name] - ENOUGH_FOR) for name in ("tasks", "threads", "processes"))
    found["over"] = max(found[f"{name}_over"] for name in ("tasks", "threads", "processes"))
    return found


def _tasks(folder: Path, base_url: str, dollars: str) -> int:
    return asyncio.run(_answered(_engine(folder, base_url, dollars), CALLS))


def _processes(folder: Path, base_url: str, dollars: str) -> int:
    command = [sys.executable, __file__, "child", str(folder), base_url, str(CALLS // PROCESSES), dollars]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    return sum(int(racer.communicate()[0]) for racer in racers)


def _threads(folder: Path, base_url: str, dollars: str) -> int:
    told = {"LEDGER__PATH": f"{folder / 'ledger.db'}", "LOG__PATH": "off", "BUDGETS__RACE__USD": dollars,
            "BUDGETS__RACE__MODE": "strict", "BUDGETS__RACE__WARN_AT": "0", "BUDGETS__RACE__SLOW_AT": "0"}  # fmt: skip
    os.environ.update({f"HEADGATE_{name}": value for name, value in told.items()})
    http = anthropic.DefaultHttpxClient(transport=headgate.Transport())
    with anthropic.Anthropic(http_client=http, base_url=base_url, api_key="sk-ant-test", max_retries=0) as client:

        def ask(_: int) -> bool:
            try:
                client.messages.create(**ASKING)
            except anthropic.RateLimitError:
                return False
            return True

        try:
            with ThreadPoolExecutor(THREADS) as threads:
                return sum(threads.map(ask, range(CALLS)))
        finally:
            headgate.shutdown()
            for name in told:
                del os.environ[f"HEADGATE_{name}"]


def _engine(folder: Path, base_url: str, dollars: str) -> Engine:
    config = Config(
        upstream=UpstreamConfig(base_url=base_url),
        ledger=LedgerConfig(path=str(folder / "ledger.db")),
        log=LogConfig(path="off"),
        budgets={"race": BudgetConfig(usd=dollars, mode="strict", warn_at=0.0, slow_at=0.0)},
    )
    return Engine.from_config(config, {"ANTHROPIC_API_KEY": "sk-ant-test"})


def _call(engine: Engine) -> Call:
    record = {"workflow": "race", "lane": "standard"}
    return engine_call(engine, Kind.MESSAGES, "POST", "/v1/messages", record, body=encode(ASKING))


async def _price_of_one(folder: Path, base_url: str) -> int:
    """What a call costs."""
    async with _engine(folder, base_url, "1.00") as engine:
        call = _call(engine)
        await engine.call(call)
        assert call.record.cost_pico is not None
        return call.record.cost_pico


async def _answered(engine: Engine, count: int) -> int:
    async def one() -> bool:
        try:
            reply = await engine.call(_call(engine))
        except BudgetSpent:
            return False
        return reply.failure is None

    async with engine:
        return sum(await asyncio.gather(*(one() for _ in range(count))))


if __name__ == "__main__" and sys.argv[1:2] == ["child"]:
    print(asyncio.run(_answered(_engine(Path(sys.argv[2]), sys.argv[3], sys.argv[5]), int(sys.argv[4]))))
