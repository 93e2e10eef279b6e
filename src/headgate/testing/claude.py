"""A simulated Claude on a loopback socket, for tests that block or that run other programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headgate.http_get import get_json
from headgate.sim import RunningSim, SimSettings, serve
from headgate.sim.endpoints.control import MOST_ADVANCE_S
from headgate.sim.scenario import load_scenario
from headgate.testing.in_thread import in_thread

__all__ = ["Claude", "simulated_claude"]


class Claude:
    """A running simulator, seen from another thread."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        """For the SDK's `base_url`, or Headgate's `upstream.base_url`."""

    def books(self, *, requests: bool = False) -> dict[str, Any]:
        """What it would bill: tokens by kind, dollars, limit violations; with `requests`, an entry each."""
        path = "/sim/books?requests=1" if requests else "/sim/books"
        return get_json(self.base_url + path, timeout_s=10)

    def stats(self) -> dict[str, Any]:
        """Requests by status, streams started, finished and aborted."""
        return get_json(self.base_url + "/sim/stats", timeout_s=10)

    def advance(self, seconds: float) -> None:
        """Let simulated time pass at once, for whoever waits for it too: a batch ends, a limit refills, a month begins.

        Raises:
            ValueError: time does not go back, nor on by more than ten years.
        """
        if not 0 <= seconds <= MOST_ADVANCE_S:
            raise ValueError(f"seconds is {seconds}, and must be from 0 to {MOST_ADVANCE_S}")
        get_json(self.base_url + "/sim/clock", timeout_s=10, body={"advance_s": seconds})


@contextmanager
def simulated_claude(
    settings: SimSettings | None = None, *, scenario: str | Path | None = None, seed: int = 0, port: int = 0
) -> Iterator[Claude]:
    """The simulated Claude API on a loopback socket, in a thread of its own, for as long as the block runs.

    Args:
        settings: tier, limits, latency, ...; default: no latency, the Start tier.
        scenario: one that ships, such as `"storm"`, or a TOML file; its settings go before yours.
        seed: the same seed and the same requests give the same answers.
        port: 0 picks a free one.

    Raises:
        ScenarioError: there is no such scenario, or something in it is wrong.
    """
    settings, played = settings or SimSettings(), None
    if scenario is not None:
        settings, played = load_scenario(scenario, settings)

    async def start() -> RunningSim:
        return await serve(settings, port=port, seed=seed, scenario=played)

    with in_thread("simulated-claude", start, RunningSim.stop) as running:
        yield Claude(running.it.base_url)
