"""The production engine in front of the simulated Claude, in virtual time, with a network that is only memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any, TypeVar

import msgspec

from headgate.call import Call, Kind, Reply
from headgate.clock import LoopClock
from headgate.config.schema import Config, LaneConfig, RetryConfig
from headgate.engine.engine import Engine
from headgate.net.client import Dial
from headgate.net.server import Server
from headgate.records import CallRecord
from headgate.sim import SimSettings, SimulatedClaude
from headgate.sim.scenario import Scenario
from headgate.sim.virtual_time import EPOCH, memory_dial, run
from headgate.stores.memory import MemoryLedger
from headgate.telemetry.call_log import MemoryCallLog
from headgate.testing.engine_call import engine_call
from support.engines import check_nothing_is_held, engine_in_memory

__all__ = ["KEY", "MODEL", "Answer", "World", "lanes", "play"]

MODEL = "claude-sonnet-5-5"
KEY = "sk-ant-test-0001"

T = TypeVar("T")


@dataclass
class Answer:
    """What a caller got: the reply, read to its end."""

    reply: Reply
    body: bytes
    call: Call

    @property
    def ok(self) -> bool:
        stream = self.reply.stream
        return self.reply.failure is None and (stream is None or stream.failure is None)

    @property
    def record(self) -> CallRecord:
        return self.call.record

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.body)


class World:
    """An engine, a simulated API, and what came of the calls between them."""

    def __init__(self, engine: Engine, sim: SimulatedClaude, ledger: MemoryLedger, log: MemoryCallLog) -> None:
        self.engine = engine
        self.sim = sim
        self.ledger = ledger
        self.log = log

    @property
    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    def make(self, sim: str = "", *, stream: bool = False, text: str = "hello", **options: Any) -> Call:
        """A call for a short message; `sim` asks the simulator for misbehaviour."""
        body: dict[str, Any] = {
            "model": options.pop("model", MODEL),
            "max_tokens": options.pop("max_tokens", 64),
            "messages": [{"role": "user", "content": text}],
        }
        if stream:
            body["stream"] = True
        body |= options.pop("body", {})
        record = {
            "workflow": options.pop("workflow", "test"),
            "lane": options.pop("lane", "standard"),
            "correlation_id": "test",
            "caller_attempts": options.pop("caller_attempts", 0),
        }
        headers = [(b"x-sim", sim.encode())] if sim else []
        return engine_call(
            self.engine, Kind.MESSAGES, "POST", "/v1/messages", record,
            headers=headers, body=msgspec.json.encode(body), **options,
        )  # fmt: skip

    def make_other(self, kind: Kind, method: str, target: str, **options: Any) -> Call:
        """A call for anything but a message."""
        record = {"workflow": options.pop("workflow", "test"), "lane": options.pop("lane", "standard")}
        return engine_call(self.engine, kind, method, target, record, **options)

    async def ask(self, sim: str = "", **options: Any) -> Answer:
        """Make a call and read the answer to its end."""
        return await self.send(self.make(sim, **options))

    async def send(self, call: Call) -> Answer:
        """Send a call and read the answer to its end."""
        reply = await self.engine.call(call)
        body = reply.body
        if reply.stream is not None:
            try:
                while piece := await reply.stream.read():
                    body += piece
            finally:
                reply.stream.close()
        return Answer(reply, body, call)

    def attempts(self) -> list[tuple[str | None, str | None]]:
        """Error and decision of every attempt there is a record of."""
        return [(attempt.error, attempt.decision) for attempt in self.ledger.attempts]


def lanes(**changes: Any) -> dict[str, LaneConfig]:
    """The lanes that ship, each with `changes`."""
    return {name: replace(lane, **changes) for name, lane in Config().lanes.items()}


def play(
    scene: Callable[[World], Awaitable[T]],
    *,
    sim: SimSettings | None = None,
    config: Config | None = None,
    retry: RetryConfig | None = None,
    credentials: tuple[str, ...] = (KEY,),
    seed: int = 1,
    dial: Dial | None = None,
    scenario: Scenario | None = None,
    start: datetime = EPOCH,
) -> T:
    """Run `scene` in a world of its own, from virtual second 0, and check that nothing was left open."""

    async def main() -> T:
        clock = LoopClock(scenario.start if scenario is not None and scenario.start is not None else start)
        app = SimulatedClaude(sim or SimSettings(), clock, Random(seed), scenario)
        server = Server(app)
        port = await server.start("127.0.0.1", 0)
        settings = config or Config()
        settings = replace(settings, upstream=replace(settings.upstream, base_url=f"http://127.0.0.1:{port}"))
        if retry is not None:
            settings = replace(settings, retry=retry)
        ledger, log = MemoryLedger(), MemoryCallLog()
        engine = engine_in_memory(settings, ledger, log, clock, credentials, seed, dial or memory_dial)
        world = World(engine, app, ledger, log)
        result = await scene(world)
        await engine.close()
        await server.drain(0)
        check_nothing_is_held(engine, ledger)
        return result

    return run(main())
