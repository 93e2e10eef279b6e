"""One run: a workload, a policy and the simulated API, in virtual time.  The same seed gives the same run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from headgate.clock import Clock, LoopClock
from headgate.config.schema import Config, LaneConfig, WorkflowConfig
from headgate.net.server import Server
from headgate.replay.observer import Attempt, Observed, Observer
from headgate.replay.policies import Policy, PolicyName, Terms, policy_of
from headgate.replay.workload import Ask, Workload
from headgate.sim import SimSettings, SimulatedClaude
from headgate.sim.account.books import Totals
from headgate.sim.scenario import load_scenario
from headgate.sim.service import LIMITS
from headgate.sim.settings import TYPICAL_LATENCY, Batches, Latency, Limits
from headgate.sim.virtual_time import EPOCH, memory_dial, run

__all__ = ["Outcome", "Run", "Setup", "play"]

STALLED_S = 3_600.0
"""Without a single answer, after the last call was asked: what is left will never be answered."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a workload is played.

    Attributes:
        tier: whose limits apply where `rpm`, `itpm` and `otpm` (all pools alike) do not say.
        depth_s: of the API's buckets, in seconds of refill.
        follow_ups: asked when they were recorded, or not before the answer they follow on ("wait").
        marked: prompts carry cache markers.
        workers: of the policies that have some.
        max_wait_s: longest wait in Headgate's lanes; None waits as long as it takes.
        lanes: of Headgate's, where they are not its own.
        workflows: Headgate's policies.
        places_markers: Headgate may put cache markers on prompts that carry none.
        keeps_alive: and may ask them again so that the cache keeps them.
        scenario: what goes wrong when, by name or file.
        batches: how Message Batches go.
        length_inside: prompts ask the simulator for the length of their answers; a header does otherwise.
    """

    policy: PolicyName = "headgate"
    tier: str = "start"
    rpm: int | None = None
    itpm: int | None = None
    otpm: int | None = None
    depth_s: float = 60.0
    seed: int = 0
    follow_ups: Literal["recorded", "wait"] = "recorded"
    latency: Literal["none", "typical"] = "none"
    marked: bool = True
    workers: int = 40
    max_wait_s: float | None = None
    lanes: Mapping[str, LaneConfig] = field(default_factory=dict)
    workflows: Mapping[str, WorkflowConfig] = field(default_factory=dict)
    places_markers: bool = False
    keeps_alive: bool = True
    scenario: str | None = None
    batches: Batches = field(default_factory=Batches)
    length_inside: bool = False

    def settings(self) -> SimSettings:
        """The simulator's.

        Raises:
            LookupError, ValueError: they cannot be.
        """
        limits = Limits(tier=self.tier, rpm=self.rpm, itpm=self.itpm, otpm=self.otpm, depth_s=self.depth_s)
        latency = TYPICAL_LATENCY if self.latency == "typical" else Latency()
        return SimSettings(limits=limits, latency=latency, batches=self.batches)

    def check(self, workload: Workload) -> None:
        """Find out before a long run what cannot be.

        Raises:
            ScenarioError: there is no such scenario.
            LookupError, ValueError: the limits cannot be.
        """
        self.settings().limits.check()
        self.per_minute(workload)
        if self.scenario is not None:
            load_scenario(self.scenario, self.settings())

    def per_minute(self, workload: Workload) -> dict[str, tuple[float, float, float]]:
        """Requests, input and output tokens a minute, by pool that the workload asks."""
        limits = self.settings().limits
        return {
            pool: (float(told.rpm), float(told.itpm), float(told.otpm))
            for pool in workload.pools
            for told in (limits.pool(pool),)
        }


@dataclass(slots=True)
class Outcome:
    """What came of one call; times are seconds from the start of the run.

    Attributes:
        asked_s: later than recorded only for a follow-up that waited for its answer.
        ended_s: when it was answered or given up.
        answer: as the API gave it to a request of its own; None also for a call that shared one.
        answered: whether whoever asked got an answer.
    """

    ask: Ask
    asked_s: float
    ended_s: float
    answer: Observed | None
    answered: bool

    @property
    def waited_s(self) -> float:
        """Until the request went that was answered; for others, until they were given up."""
        return (self.answer.admitted_s if self.answer is not None else self.ended_s) - self.asked_s


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a whole run: every call in the order of arrival, every request for a message that reached the API,
    requests of any kind by the hour, and what the API bills for all of it."""

    workload: Workload
    setup: Setup
    per_minute: Mapping[str, tuple[float, float, float]]
    outcomes: list[Outcome]
    attempts: list[Attempt]
    by_hour: Counter[int] = field(default_factory=Counter)
    billed: Totals = field(default_factory=Totals)


def play(workload: Workload, setup: Setup) -> Run:
    """Play `workload` under `setup`, which is in order, to its end."""
    settings, scenario = setup.settings(), None
    if setup.scenario is not None:
        settings, scenario = load_scenario(setup.scenario, settings)
    per_minute = setup.per_minute(workload)
    terms = Terms(
        per_minute=per_minute,
        depth_s=setup.depth_s,
        marked=setup.marked and workload.shared,
        workers=setup.workers,
        seed=setup.seed,
        lanes={name: LaneConfig() for name in workload.lanes if name not in Config().lanes} | dict(setup.lanes),
        max_wait_s=setup.max_wait_s,
        workflows=setup.workflows,
        places_markers=setup.places_markers,
        keeps_alive=setup.keeps_alive,
        length_inside=setup.length_inside,
    )

    async def main() -> Run:
        start = scenario.start if scenario is not None and scenario.start is not None else EPOCH
        clock = LoopClock(start, asyncio.get_running_loop())
        sim = SimulatedClaude(settings, clock, Random(setup.seed), scenario)  # noqa: S311  # reproducible on purpose
        observer = Observer(sim, clock)
        server = Server(observer, LIMITS)
        base_url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
        policy = policy_of(setup.policy, terms, base_url, memory_dial, clock)
        outcomes = await _Player(policy, observer, clock, wait=setup.follow_ups == "wait").play(workload)
        await policy.close()
        await server.drain(0)
        await sim.settle()
        books = sim.world.books
        return Run(workload, setup, per_minute, outcomes, observer.attempts, observer.by_hour, books.totals)

    return run(main())


class _Player:
    """Asks every call at its time, open loop but for follow-ups that wait."""

    def __init__(self, policy: Policy, observer: Observer, clock: Clock, *, wait: bool) -> None:
        self._policy = policy
        self._observer = observer
        self._clock = clock
        self._wait = wait
        self._ended: dict[int, asyncio.Event] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._trouble: list[BaseException] = []
        """What no policy may end with."""
        self._stalled_s = STALLED_S

    async def play(self, workload: Workload) -> list[Outcome]:
        clock = self._clock
        self._stalled_s = max(STALLED_S, *(ask.turn.tolerance_s or 0.0 for ask in workload.asks))
        if self._wait:
            self._ended = {ask.before.number: asyncio.Event() for ask in workload.asks if ask.before is not None}
        under_way: set[asyncio.Task[None]] = set()

        def ended(task: asyncio.Task[None]) -> None:
            under_way.discard(task)
            if not task.cancelled() and (problem := task.exception()) is not None:
                self._trouble.append(problem)

        for ask in workload.asks:
            if self._trouble:
                break
            wait_s = ask.at_s - clock.now_s()
            if wait_s > 0:
                await clock.sleep(wait_s)
            task = asyncio.create_task(self._one(ask))
            under_way.add(task)
            task.add_done_callback(ended)
        await self._finish(under_way)
        if self._trouble:
            raise self._trouble[0]
        return [self._outcomes[ask.number] for ask in workload.asks]

    async def _finish(self, under_way: set[asyncio.Task[None]]) -> None:
        """Until all have ended, or nothing comes of them any more."""
        clock = self._clock
        since_s = clock.now_s()
        while under_way:
            await asyncio.wait(set(under_way), timeout=self._stalled_s, return_when=asyncio.FIRST_EXCEPTION)
            if self._trouble or clock.now_s() - max(since_s, self._observer.last_answer_s) >= self._stalled_s:
                break
        for task in set(under_way):
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _one(self, ask: Ask) -> None:
        clock = self._clock
        asked_s = clock.now_s()
        answered = False
        try:
            if self._wait and ask.before is not None:
                await self._ended[ask.before.number].wait()
                asked_s = max(asked_s, clock.now_s() + ask.turn.think_s) if clock.now_s() > asked_s else asked_s
                if asked_s > clock.now_s():
                    await clock.sleep(asked_s - clock.now_s())
            answered = await self._policy.ask(ask)
        finally:
            answer = self._observer.answers.get(ask.number)
            self._outcomes[ask.number] = Outcome(ask, asked_s, clock.now_s(), answer, answered)
            ended = self._ended.get(ask.number)
            if ended is not None:
                ended.set()
