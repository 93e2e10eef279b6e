"""A whole world in virtual time: the simulated Claude, Headgate before it if you like, and the official SDK.

    async def scene(world):
        client = world.client()
        with pytest.raises(anthropic.RateLimitError):
            for _ in range(100):
                await client.messages.create(...)
        await asyncio.sleep(3600)                        # an hour, in no time

    headgate.testing.virtual(scene, seed=7)

No sockets, no threads, no waiting: time jumps to whatever is due next.  The same seed gives the same run, byte for
byte, whatever else the machine does; a failure says its seed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from headgate.clock import Clock, LoopClock, ScaledClock
from headgate.config.schema import AdminConfig, Config, GatewayConfig
from headgate.engine.engine import Engine
from headgate.engine.load import load_catalog, load_prices
from headgate.gateway.serve import Gateway
from headgate.net.client import Dial
from headgate.net.server import Server
from headgate.records import CallRecord
from headgate.secret import Secret
from headgate.sim import SimSettings, SimulatedClaude
from headgate.sim.scenario import Scenario, load_scenario
from headgate.sim.service import LIMITS
from headgate.sim.virtual_time import EPOCH, memory_dial, run
from headgate.stores.memory import MemoryLedger
from headgate.telemetry.call_log import CallLog
from headgate.testing.real_time import Watch, stand_in
from headgate.upstream.keyring import Credential, Keyring

if TYPE_CHECKING:
    import anthropic

__all__ = ["VirtualWorld", "engine_in_memory", "virtual"]

T = TypeVar("T")

Through = Literal["nothing", "gateway", "library"]
LONGEST_S = 366 * 86_400.0
"""A hang guard, in virtual seconds: whoever still waits then waits for what never comes."""


@dataclass(eq=False)
class VirtualWorld:
    """What a scene plays in.

    Attributes:
        sim: the simulated Claude itself, with `world.books`, `world.stats`, `world.limits`.
        base_url: where clients are pointed at: the gateway if there is one, else the simulator.
        engine: Headgate's, or None.
        ledger: what the engine wrote down.
    """

    seed: int
    clock: ScaledClock
    sim: SimulatedClaude
    base_url: str
    engine: Engine | None
    ledger: MemoryLedger
    _clients: list[Any] = field(default_factory=list)
    _in_process: bool = False

    @property
    def now_s(self) -> float:
        """Virtual seconds since the run began."""
        return asyncio.get_running_loop().time()

    @property
    def calls(self) -> list[CallRecord]:
        """Headgate's record of every call that has ended."""
        return self.ledger.calls

    def books(self) -> dict[str, Any]:
        """What the simulator would bill, as `GET /sim/books?requests=1`."""
        return self.sim.world.books.told(with_requests=True)

    def client(self, **options: Any) -> anthropic.AsyncAnthropic:
        """The official async client, as it comes but for its transport; `options` are its own, such as `max_retries`.

        Closed when the run ends.
        """
        import anthropic

        from headgate.client.transport import AsyncTransport
        from headgate.testing.memory_transport import MemoryTransport

        transport: Any = AsyncTransport(self.engine) if self._in_process else MemoryTransport()
        options = {"base_url": self.base_url, "api_key": "sk-ant-test", **options}
        http = anthropic.DefaultAsyncHttpxClient(transport=transport, trust_env=False)
        client = anthropic.AsyncAnthropic(http_client=http, **options)
        self._clients.append(client)
        return client

    async def _close(self) -> None:
        for client in self._clients:
            await client.close()


def virtual(
    scene: Callable[[VirtualWorld], Awaitable[T]],
    *,
    settings: SimSettings | None = None,
    scenario: str | Path | None = None,
    through: Through = "nothing",
    config: Config | None = None,
    keys: Sequence[str] = ("sk-ant-test",),
    seed: int = 0,
    epoch: datetime | None = None,
    events: Callable[[bytes], object] | None = None,
    watch: Sequence[str] = (),
    longest_s: float = LONGEST_S,
) -> T:
    """Play `scene` in a world of its own and return what it returns.

    Args:
        settings: of the simulator; default: no latency, the Start tier.
        scenario: what goes wrong when: one that ships, such as `"storm"`, or a TOML file; its settings go before yours.
        through: put Headgate's gateway before the simulator, or its transport into the clients.
        config: Headgate's, but for its addresses.
        keys: the API keys that Headgate holds.
        seed: decides everything that chance decides; a failure carries it as a note.
        epoch: the instant at which the run begins; default the scenario's, or a Saturday morning in November 2026.
        events: takes the simulator's event log, a JSON line each: a list's `append`, a file's `write`.
        watch: names of modules that must not ask the machine for time, chance or threads, nor wait by `asyncio.sleep`
            instead of a clock they are given ("headgate", "myapp"); slow.
        longest_s: when a run that does not end is given up, in virtual seconds.

    Raises:
        ValueError: `through` or `keys` cannot be.
        RuntimeError: it was called from an async function; it runs a loop of its own.
        RealTimeUsed: a watched module did, or anybody slept for real or started a thread.
        TimeoutError: the scene has not ended after `longest_s`; it waits for what never comes.
        ScenarioError: there is no such scenario, or something in it is wrong.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("virtual() runs a loop of its own: call it from a plain function, not from an async one")
    if through not in get_args(Through):
        raise ValueError(f"through is {through!r}, and must be one of {', '.join(get_args(Through))}")
    if not keys:
        raise ValueError("keys is empty: Headgate needs one at least")
    played: Scenario | None = None
    if scenario is not None:
        settings, played = load_scenario(scenario, settings or SimSettings())
        epoch = epoch or played.start
    watching = Watch(tuple(watch)) if watch else None
    at_s = 0.0

    async def main() -> T:
        nonlocal at_s
        clock = ScaledClock(below=LoopClock(epoch or EPOCH, asyncio.get_running_loop()))
        with ExitStack() as block:
            block.enter_context(stand_in(clock, seed))
            if watching is not None:
                block.enter_context(watching)
            try:
                async with asyncio.timeout(longest_s) as guard:
                    sim = SimulatedClaude(settings or SimSettings(), clock, _chance(seed), played)
                    if events is not None:
                        sim.world.log_events(events)
                    return await _play(scene, clock, sim, through, config, keys, seed)
            except TimeoutError as problem:
                if guard.expired() and not problem.args:
                    raise TimeoutError(
                        f"the scene has not ended after {longest_s:g} virtual seconds: it waits for what never comes, "
                        "or longest_s is too short"
                    ) from problem
                raise
            finally:
                at_s = asyncio.get_running_loop().time()

    try:
        result = run(main())
    except BaseException as problem:
        problem.add_note(f"in a virtual run with seed={seed}, at {at_s:.3f} s")
        if watching is not None and watching.found:
            problem.add_note(f"and real time was used: {'; '.join(watching.found)}")
        raise
    if watching is not None:
        watching.check()
    return result


async def _play(
    scene: Callable[[VirtualWorld], Awaitable[T]],
    clock: ScaledClock,
    sim: SimulatedClaude,
    through: Through,
    config: Config | None,
    keys: Sequence[str],
    seed: int,
) -> T:
    server = Server(sim, LIMITS)
    base_url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    ledger = MemoryLedger()
    engine, gateway = None, None
    if through != "nothing":
        told = config or Config()
        told = replace(
            told,
            upstream=replace(told.upstream, base_url=base_url),
            gateway=replace(told.gateway, port=0) if config else GatewayConfig(port=0),
            admin=replace(told.admin, port=0) if config else AdminConfig(port=0),
        )
        engine = engine_in_memory(told, ledger, None, clock, keys, seed, memory_dial)
    if engine is not None and through == "gateway":
        gateway = Gateway(engine)
        await gateway.start()
        base_url = f"http://127.0.0.1:{gateway.port}"
    world = VirtualWorld(seed, clock, sim, base_url, engine, ledger, _in_process=through == "library")
    try:
        result = await scene(world)
    finally:
        await world._close()
    if gateway is not None:
        await gateway.stop()
    elif engine is not None:
        await engine.close()
    await server.drain(0)
    return result


def engine_in_memory(
    config: Config,
    ledger: MemoryLedger,
    log: CallLog | None,
    clock: Clock,
    keys: Sequence[str],
    seed: int,
    dial: Dial,
) -> Engine:
    """An engine that keeps everything in memory; its `keys` are called default, key2, key3 and so on."""
    names = ["default", *(f"key{number}" for number in range(2, len(keys) + 1))]
    credentials = [Credential(name, Secret(key)) for name, key in zip(names, keys, strict=True)]
    return Engine(
        config,
        keyring=Keyring(credentials, clock),
        prices=load_prices(None),
        catalog=load_catalog(),
        ledger=ledger,
        log=log,
        clock=clock,
        rng=_chance(seed),
        dial=dial,
        admin_key=config.upstream.admin_key,
    )


def _chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # reproducible on purpose
