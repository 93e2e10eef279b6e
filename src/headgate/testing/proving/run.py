"""Plays one world, event by event, under the eyes of the checkers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random
from typing import Any

import msgspec

from headgate.call import Call, Kind, Reply
from headgate.clock import LoopClock
from headgate.engine.engine import Engine
from headgate.errors import Refused
from headgate.net.server import Server
from headgate.sim import SimulatedClaude
from headgate.sim.service import LIMITS
from headgate.sim.virtual_time import EPOCH, Deadlock, VirtualLoop, memory_dial
from headgate.stores.memory import MemoryLedger
from headgate.telemetry.call_log import MemoryCallLog
from headgate.testing.engine_call import engine_call
from headgate.testing.proving.checker import Checker, Scene, Violation
from headgate.testing.proving.checkers import CHECKERS
from headgate.testing.proving.draw import Planned, Setting
from headgate.testing.proving.watch import MARK, Story, Watch, WatchedApi, WatchedLedger
from headgate.testing.virtual import engine_in_memory

__all__ = ["Verdict", "prove"]

LONGEST_S = 40_000.0
"""No run takes longer, in virtual seconds; whoever waits then waits for what never comes."""
AFTERWARDS_S = 30.0
"""For the API's side to notice who has left."""


@dataclass(frozen=True)
class Verdict:
    """What came of a run."""

    setting: Setting
    violations: tuple[Violation, ...]
    calls: int
    attempts: int
    answered: int
    ended_s: float
    """Virtual seconds."""
    digest: str
    """Of every row of the ledger: the same for the same seed."""

    @property
    def ok(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        found = "\n".join(f"  {violation}" for violation in self.violations) or "  nothing wrong"
        return f"seed {self.setting.seed}, {self.setting.mode}:\n{found}\nreplay: {self.setting.command}"


def prove(
    setting: Setting,
    *,
    judged_by: Setting | None = None,
    tell: Callable[[str], object] | None = None,
    checkers: Sequence[type[Checker]] = CHECKERS,
    ledger: Callable[[Watch], MemoryLedger] = WatchedLedger,
) -> Verdict:
    """Run the world of `setting` and say what was wrong.

    Args:
        judged_by: what the checkers believe the setting to be; another one, for tests of the checkers.
        tell: takes a line for everything that happens.
        ledger: makes the engine's ledger; a faulty one, likewise.
    """
    loop = _ProvingLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        scene = Scene(judged_by or setting, loop.time)
        watch = Watch(loop.time, [kind(scene) for kind in checkers], tell, share_by=setting.config.limits.share_by)
        scene.watch = watch
        loop.settled = [checker.settled for checker in watch.checkers if type(checker).settled is not Checker.settled]
        kept = ledger(watch)
        try:
            runner.run(_play(setting, scene, watch, kept))
        except Deadlock:
            scene.fail("LIVE", "everybody waits and nothing will ever happen")
        except TimeoutError:
            scene.fail("LIVE", f"somebody still waits after {LONGEST_S:g} s")
    return Verdict(
        setting,
        tuple(scene.violations),
        calls=len(kept.calls),
        attempts=len(kept.attempts),
        answered=sum([story.ok for story in watch.stories.values()]),
        ended_s=loop.time(),
        digest=sha256(msgspec.json.encode([kept.calls, kept.attempts])).hexdigest(),
    )


async def _play(setting: Setting, scene: Scene, watch: Watch, ledger: MemoryLedger) -> None:
    clock = LoopClock(EPOCH)
    api = SimulatedClaude(setting.sim, clock, _chance(setting.seed), setting.scenario)
    server = Server(WatchedApi(api, watch), LIMITS)
    address = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    config = replace(setting.config, upstream=replace(setting.config.upstream, base_url=address))
    log = MemoryCallLog()
    engine = engine_in_memory(config, ledger, log, clock, setting.keys, setting.seed, memory_dial)
    scene.engine, scene.ledger, scene.api, scene.log = engine, ledger, api, log
    async with asyncio.timeout(LONGEST_S):
        await asyncio.gather(*[_call(engine, watch, planned) for planned in setting.calls])
    await asyncio.sleep(AFTERWARDS_S)
    for checker in watch.checkers:
        checker.over()
    await engine.close()
    await server.drain(0)


async def _call(engine: Engine, watch: Watch, planned: Planned) -> None:
    """One caller: makes its call at its time, reads the answer, perhaps leaves half-way."""
    story = watch.stories[planned.number] = Story(planned)
    await asyncio.sleep(planned.at_s)
    call = story.call = _made(engine, planned)
    watch.numbers[call.record.call_id] = planned.number
    watch.say(f"call {planned.number}: asks in {planned.lane} for {planned.workflow} {planned.fault}".rstrip())
    try:
        async with asyncio.timeout(planned.leaves_after_s):
            reply = await engine.call(call)
            story.ok = await _read(reply, story, watch)
    except TimeoutError:
        story.left = True
    except Refused as refusal:
        story.refusal = refusal
    story.ended_s = watch.now_s()


async def _read(reply: Reply, story: Story, watch: Watch) -> bool:
    """Read an answer to its end; whether it was one, and whole."""
    stream = reply.stream
    if stream is None:
        return reply.failure is None
    try:
        while piece := await stream.read():
            if story.content_s is None and b"content_block_delta" in piece:
                story.content_s = watch.now_s()
    finally:
        stream.close()
    return reply.failure is None and stream.failure is None


def _made(engine: Engine, planned: Planned) -> Call:
    headers = [(MARK, b"%d" % planned.number)]
    if planned.fault:
        headers.append((b"x-sim", planned.fault.encode()))
    record = {
        "workflow": planned.workflow, "user": planned.user, "lane": planned.lane, "correlation_id": "proving",
        "caller_attempts": planned.caller_attempts,
    }  # fmt: skip
    body = msgspec.json.encode(planned.body())
    return engine_call(
        engine, Kind.MESSAGES, "POST", "/v1/messages", record,
        headers=headers, body=body, requested_deadline_s=planned.deadline_s,
    )  # fmt: skip


class _ProvingLoop(VirtualLoop):
    """Asks the checkers whenever all that can happen now has happened and time is about to pass."""

    def __init__(self) -> None:
        self.settled: list[Callable[[], object]] = []
        super().__init__()

    def _run_once(self) -> None:
        if not self._ready and not self._stopping and not self._is_due():
            for look in self.settled:
                look()
        super()._run_once()

    def _is_due(self) -> bool:
        scheduled: list[Any] = self._scheduled
        return bool(scheduled) and scheduled[0]._when < self._now_s + self._clock_resolution


def _chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # reproducible on purpose
