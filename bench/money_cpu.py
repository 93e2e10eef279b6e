"""The CPU that money costs a call: the same calls through an engine with none of its filters, and with all of them.

The API is a function that answers at once, so that only Headgate's own work is measured, in the process's own CPU
seconds without garbage collection.  The engines take turns; the median of the differences is told.
"""

from __future__ import annotations

import asyncio
import gc
import time
from random import Random
from statistics import median
from typing import Any

from msgspec.json import encode

from headgate.call import Call, Kind, Reply
from headgate.clock import SystemClock
from headgate.config.schema import BudgetConfig, Config, LimitsConfig, PromptCacheConfig, UpstreamConfig, WorkflowConfig
from headgate.engine.engine import Engine
from headgate.net.http import HeaderBlock
from headgate.stores.memory import MemoryLedger
from headgate.testing.engine_call import engine_call
from headgate.testing.virtual import engine_in_memory
from headgate.upstream.send import Upstream

__all__ = ["cpu"]

ROUNDS, CALLS = 21, 300
WARM_UP = 300
ROOM = {"upstream": UpstreamConfig(tier="scale"), "limits": LimitsConfig(first_burst_s=60.0)}
"""Nobody waits."""
SYSTEM_CHARS = 6_000
USAGE = {"input_tokens": 60, "output_tokens": 40, "cache_read_input_tokens": 1_900, "cache_creation_input_tokens": 0}
ANSWER = encode({
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5-5", "stop_reason": "end_turn",
    "stop_sequence": None, "content": [{"type": "text", "text": "It is done. " * 12}], "usage": USAGE,
})  # fmt: skip
HEADERS = b"content-type: application/json\r\nrequest-id: req_1\r\n"

OFF = PromptCacheConfig(mode="off")
BUDGETS = {
    "all": BudgetConfig(usd="1000000"),
    "users": BudgetConfig(usd="100000", window="day", per=("user",)),
    "chat": BudgetConfig(usd="100000", window="hour", workflow="chat"),
}
SHAPED = {"chat": WorkflowConfig(max_tokens=1_024, max_tokens_ceiling=4_096, models=("claude-sonnet-5-5",))}
ENGINES = {
    "bare": Config(**ROOM, prompt_cache=OFF),
    "budgets": Config(**ROOM, prompt_cache=OFF, budgets=BUDGETS),
    "planner": Config(**ROOM),
    "shape": Config(**ROOM, prompt_cache=OFF, workflows=SHAPED),
    "added": Config(**ROOM, budgets=BUDGETS, workflows=SHAPED),
}
"""The last has all of it."""


def cpu(seed: int, quick: bool) -> dict[str, float]:
    """Microseconds of CPU that a call costs bare, and how many more with each, and with all of them."""
    return asyncio.run(_measure(seed, 5 if quick else ROUNDS))


async def _measure(seed: int, rounds: int) -> dict[str, float]:
    rng = Random(seed)  # reproducible on purpose
    usual, Upstream.send = Upstream.send, _answer  # type: ignore[method-assign]
    try:
        engines = {name: _engine(config, seed) for name, config in ENGINES.items()}
    finally:
        Upstream.send = usual  # type: ignore[method-assign]
    for engine in engines.values():
        await _cpu_us(engine, rng, WARM_UP)
    rows = [{name: await _cpu_us(engine, rng, CALLS) for name, engine in engines.items()} for _ in range(rounds)]
    for engine in engines.values():
        await engine.close()
    more = {f"{name}_us": median(row[name] - row["bare"] for row in rows) for name in ENGINES if name != "bare"}
    return {"bare_us": median(row["bare"] for row in rows), **more}


def _engine(config: Config, seed: int) -> Engine:
    clock = SystemClock()
    return engine_in_memory(config, MemoryLedger(), None, clock, ("sk-ant-bench",), seed, _no_dial)


async def _no_dial(*_: Any) -> Any:
    raise AssertionError("nothing is sent")


async def _answer(self: Upstream, call: Call) -> Reply:
    now_s = self._clock.now_s()
    call.attempts[-1].sent_s = now_s
    call.attempts[-1].record.status = 200
    return Reply(200, HeaderBlock(HEADERS), ANSWER)


async def _cpu_us(engine: Engine, rng: Random, count: int) -> float:
    calls = [_call(engine, rng) for _ in range(count)]
    gc.collect()
    gc.disable()
    try:
        began_s = time.process_time()
        for call in calls:
            await engine.call(call)
        return (time.process_time() - began_s) / count * 1e6
    finally:
        gc.enable()


def _call(engine: Engine, rng: Random) -> Call:
    body = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 1_024,
        "system": [{"type": "text", "text": ("Rules of the house. " * SYSTEM_CHARS)[:SYSTEM_CHARS]}],
        "messages": [{"role": "user", "content": f"question {rng.random()}"}],
    }
    record = {"workflow": "chat", "lane": "interactive", "user": f"user-{rng.randrange(50)}"}
    return engine_call(engine, Kind.MESSAGES, "POST", "/v1/messages", record, body=encode(body))
