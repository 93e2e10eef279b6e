"""The simulated API on a socket: `sim = await serve(settings)`, then `sim.base_url`, then `await sim.stop()`."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from headgate.clock import Clock, ScaledClock
from headgate.net.server import Server
from headgate.net.server_limits import ServerLimits
from headgate.sim.api import SimulatedClaude
from headgate.sim.scenario.plan import Scenario
from headgate.sim.settings import SimSettings

__all__ = ["DEFAULT_PORT", "RunningSim", "serve"]

DEFAULT_PORT = 8789
LIMITS = ServerLimits(connections=100_000, connections_per_peer=100_000)
"""A gateway is one peer, and may hold as many streams open as it likes."""


@dataclass(frozen=True, slots=True)
class RunningSim:
    """A simulated API that listens.  Runs on the loop it was started on, until `stop`."""

    app: SimulatedClaude
    host: str
    port: int
    server: Server

    @property
    def base_url(self) -> str:
        """What an SDK takes as `base_url`; without `/v1`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def stop(self, grace_s: float = 0.0) -> None:
        """Take no new request, give those under way `grace_s`, then cut what is left."""
        await self.server.drain(grace_s)


async def serve(
    settings: SimSettings | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    clock: Clock | None = None,
    seed: int = 0,
    scenario: Scenario | None = None,
) -> RunningSim:
    """Start a simulated API on the running loop.

    Args:
        port: 0 picks a free one.
        clock: real time that can be put forward, from the scenario's date on if it has one, unless another is given.
        seed: decides every id and every word; the same seed and the same requests give the same bytes.
        scenario: what goes wrong when; see `load_scenario`.

    Raises:
        OSError: the port is taken.
    """
    random = Random(seed)  # noqa: S311  # reproducible on purpose
    clock = clock or ScaledClock(start=None if scenario is None else scenario.start)
    app = SimulatedClaude(settings or SimSettings(), clock, random, scenario)
    server = Server(app, LIMITS)
    return RunningSim(app, host, await server.start(host, port), server)
